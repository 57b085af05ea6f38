"""Pipeline stages: each reads and writes typed files."""
