"""Four leaves that roadworthy finds by their entry points, none of which it has ever heard of."""
