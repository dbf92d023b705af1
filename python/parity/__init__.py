"""A plain NumPy, OpenCV and ONNX Runtime reference of the whole pipeline.

Written from the numeric contract, for clarity and not for speed: the C++ engine is compared with
it. One module per step, in data order: mel, windows, features, picture, pipeline.
"""
