"""The laws that every leaf obeys, for our leaves and for yours."""
