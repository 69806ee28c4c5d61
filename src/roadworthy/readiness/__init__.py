"""How ready a project is for production: the ML Test Score and four coverages, each point with its evidence."""
