"""Evaluation: result files, the field's metrics, tables and figures."""
