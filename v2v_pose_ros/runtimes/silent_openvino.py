"""OpenVINO without its telemetry; everything here that needs OpenVINO takes it from here.

Where openvino-telemetry is installed, which the wheels depend on, importing openvino tells Google
Analytics so, unasked. Nothing here may open a connection that nobody asked for, so it is imported
as if that package were missing, which OpenVINO is made for. Whoever has imported it before has
decided otherwise.
"""

from __future__ import annotations

import sys

__all__ = ['openvino', 'ops']

_TELEMETRY = 'openvino_telemetry'
_silenced = not {'openvino', _TELEMETRY} & sys.modules.keys()
if _silenced:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # an import of it fails
try:
    import openvino
    from openvino import opset13 as ops
finally:
    if _silenced:
        del sys.modules[_TELEMETRY]
