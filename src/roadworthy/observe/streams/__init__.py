"""One stream a file: what hears one value after the other and says when their law changed."""
