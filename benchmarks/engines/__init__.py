"""The artifact on other engines than ONNX Runtime's CPU: is it right there, and what it costs."""
