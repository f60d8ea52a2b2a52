"""Atomic writing, bounded reading, checksums, locks, and the cache directory."""

from laya_jax.files.bounded import (
    LARGEST_TEXT,
    digest,
    read_bytes,
    read_json,
    read_text,
    reading,
    refuse_links,
)
from laya_jax.files.places import cache_home, locked
from laya_jax.files.whole import append_text, check_writable, new_directory, write_json, write_text, writing

__all__ = [
    "LARGEST_TEXT",
    "append_text",
    "cache_home",
    "check_writable",
    "digest",
    "locked",
    "new_directory",
    "read_bytes",
    "read_json",
    "read_text",
    "reading",
    "refuse_links",
    "write_json",
    "write_text",
    "writing",
]
