"""Data sets: readers, the dataset file, the samples."""

from train.data.dataset import Dataset, load, read_config
from train.data.readers import Problem
from train.data.sample import SPLITS, Sample

__all__ = ["SPLITS", "Dataset", "Problem", "Sample", "load", "read_config"]
