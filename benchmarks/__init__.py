"""Measurements that write results/*.json, and the tables made from them."""
