"""What an engine is worth on somebody's own data: crops with and without the target, or fields with boxes.

Needs no PyTorch and no twin. Start reading at `crops.py`.
"""
