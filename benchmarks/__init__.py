"""Measurements that write results/*.json, and tables and reports from them."""
