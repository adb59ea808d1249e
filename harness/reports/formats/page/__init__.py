"""The page: the parts that formats/html.py puts together into one file.

tables.py, command.py (what is said), charts*.py (Vega-Lite specs), scripts.py (what runs in the browser, and the policy
that lets nothing else run), templates/, styles/ and scripts/ (what the browser gets).
"""
