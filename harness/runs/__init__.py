"""The run record: what identifies a stage, the folder that holds it, and what is never done twice.

OUTPUT/stages/DATASET/METHOD-STAGE-seedN-KEY/
    identity.json          all that decides the weights; the key is its hash
    checkpoint-1.pt        while it trains: the last whole epoch
    continuation.pt        the last epoch that a longer training would share, where its schedule allows that
    metrics.csv            a line an epoch, as training goes
    log.jsonl              what was decided, where, each epoch, and how it ended: harness/runs/log.py
    weights.safetensors    when it is trained, with …
    trained.json           … what it cost, on which device, with which versions
    embeddings/SPLIT.safetensors features of the images that episodes have used, a file a split that was scored
    scores/KEY.npz         accuracies of every episode, a file a head and kind of episode
    predictions/KEY.npz    the label that each query got in that scoring, if they are kept
    failure.txt            the traceback, if it failed; gone once it succeeds
OUTPUT/splits/NAME.npz      labels and names of the classes that were scored, to draw their episodes again
OUTPUT/benches/ID.json     what a bench asked for and which stages answer it
OUTPUT/shown/ID-TABLE.npz  of an imported bench: pictures and features that the page of a table shows
OUTPUT/begun/ID.json       a bench that has not ended, or not yet
OUTPUT/reproduction.json   that rows of another folder's bench are trained again here
"""

from harness.runs.benches import (
    begin_bench,
    could_be_written,
    find_bench,
    find_benches,
    load_benches,
    save_bench,
    writable,
)
from harness.runs.identity import SCORING_VERSION, TRAINING_VERSION, StageIdentity, digest, score_key
from harness.runs.splits import draw_again, load_split, save_split
from harness.runs.stages import KeptScore, StageFolder

__all__ = [
    "SCORING_VERSION",
    "TRAINING_VERSION",
    "KeptScore",
    "StageFolder",
    "StageIdentity",
    "begin_bench",
    "could_be_written",
    "digest",
    "draw_again",
    "find_bench",
    "find_benches",
    "load_benches",
    "load_split",
    "save_bench",
    "save_split",
    "score_key",
    "writable",
]
