"""What a package is worth: figures on slides, crops and changed pictures it has never seen, its card and pictures.

`python -m engines.training.assess --help`. Start reading at `release.py`.
"""
