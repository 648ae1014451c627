"""Similarity of texts in meaning, by the word embeddings in the wordllama wheel. Never uses the network."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pressroom.domain.errors import ConfigurationError

_lock = threading.Lock()


class WordLlamaSimilarity:
    """``domain.model.Similarity`` on 256-dimensional embeddings, about 1 ms for 100 short texts.

    The model (16 MB) is loaded once per process, at the first use, in about 0.8 s with the import.
    """

    def matrix(self, left: Sequence[str], right: Sequence[str]) -> Sequence[Sequence[float]]:
        """Cosine similarity: a row for each of ``left``, a column for each of ``right``.

        Raises ConfigurationError when the wheel lacks its files.
        """
        if not left or not right:
            return [[] for _ in left]
        rows = self.vectors(left)
        columns = rows if list(left) == list(right) else self.vectors(right)
        result: list[list[float]] = (rows @ columns.T).tolist()
        return result

    def vectors(self, texts: Sequence[str]) -> Any:
        """The texts' directions, one row each. Raises ConfigurationError when the wheel lacks its files."""
        with _lock:  # loads the model once; embedding is too quick to need more concurrency
            return _embed(_model(), texts)


class LocalEmbeddings:
    """``domain.model.Embeddings`` on this machine: nothing is sent, and nothing costs."""

    async def similarity(self, texts: Sequence[str]) -> WordLlamaSimilarity:
        """How close texts are, whichever they are."""
        return WordLlamaSimilarity()


def _embed(model: Any, texts: Sequence[str]) -> Any:
    import numpy as np

    # A text without a token has no direction. It is similar to nothing, so NaN becomes 0.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(model.embed(list(texts), norm=True))


@cache
def _model() -> Any:
    import wordllama  # takes 0.5 s with numpy, which importing this module must not

    try:
        # The loader looks for the tokenizer beside itself in `tokenizer/`, but the wheel has `tokenizers/`,
        # where it looks below the cache directory. So the package's own folder is the cache directory.
        return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    except FileNotFoundError as error:
        raise ConfigurationError(f"the wordllama package is incomplete: {error}") from error
