"""From a rule that fails to somebody who hears of it."""
