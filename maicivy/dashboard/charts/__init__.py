"""Charts as SVG that the server draws: values in, `Markup` out.

They need no script, stretch to any width without distortion, and take every colour from the classes of
`web/static/dashboard/charts.css`. Behind each that carries figures of its own stands a table. Nothing here asks for
data, reads a clock or knows a request.
"""
