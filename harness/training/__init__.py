"""One stage trained: batches, optimiser steps, checkpoints; by one process or several."""
