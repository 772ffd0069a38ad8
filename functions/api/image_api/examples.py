"""Example responses for the documentation. A test validates them against the schemas."""

from __future__ import annotations

from typing import Any

_ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"
_URL = f"https://api.example.org/api/images/{_ID}"
_RENDITIONS = [
    {
        "name": name,
        "url": f"{_URL}/thumbnails/{name}?v={digest}",
        "width": width,
        "height": height,
        "bytes": size,
        "format": format_,
    }
    for name, width, height, size, format_, digest in (
        ("small", 150, 84, 4312, "jpeg", "b94d27b9934d3e08"),
        ("medium", 300, 169, 14120, "jpeg", "5feceb66ffc86f38"),
        ("large", 1280, 720, 98004, "webp", "6b86b273ff34fce1"),
    )
]
_STAGES = {"metadata": "done", "thumbnails": "done", "caption": "done"}

IMAGE: dict[str, Any] = {
    "status": "success",
    "data": {
        "image_id": _ID,
        "original_name": "photo.jpg",
        "title": "Lake at dawn",
        "alt_text": None,
        "alt_text_source": None,
        "tags": ["lake", "dawn"],
        "text_etag": '"6ae6ed7b5d04d9a5f2ac0f2a9b5f4a8c"',
        "content_type": "image/jpeg",
        "source": "api",
        "created_at": "2026-11-20T10:00:00Z",
        "processed_at": "2026-11-20T10:00:01Z",
        "generation": 1,
        "processing_time_seconds": 0.42,
        "metadata": {
            "width": 1920,
            "height": 1080,
            "format": "jpeg",
            "size_bytes": 2048576,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "placeholder": {"thumbhash": "HggCBYJCQRAjIhFVVpZVVwYw4i9z", "color": "#7d7777"},
            "exif": {"Make": "Canon", "Orientation": 6},
            "caption": "a scenic mountain landscape with a lake",
            "caption_model": "Salesforce/blip-image-captioning-base@82a37760796d32b1411fe092ab5d4e227313294b",
            "caption_confidence": 0.4271,
            "caption_flags": [],
            "caption_language": "en",
        },
        "thumbnails": {one["name"]: one["url"] for one in _RENDITIONS},
        "renditions": _RENDITIONS,
        "stages": _STAGES,
    },
    "error": None,
}

ACCEPTED: dict[str, Any] = {
    "image_id": _ID,
    "status": "pending",
    "data": {
        **IMAGE["data"],
        "title": None,
        "tags": [],
        "processed_at": None,
        "processing_time_seconds": None,
        "metadata": None,
        "thumbnails": None,
        "renditions": None,
        "stages": dict.fromkeys(_STAGES, "pending"),
    },
    "error": None,
}

PAGE: dict[str, Any] = {
    "status": "success",
    "data": [IMAGE],
    "next_cursor": "eyJ2IjoyLCJzdGF0dXMiOm51bGwsImZyb21fbXMiOm51bGx9",
    "warnings": [],
    "review_count": None,
    "error": None,
}

UPLOAD: dict[str, Any] = {
    "image_id": _ID,
    "upload": {
        "method": "PUT",
        "url": f"https://bucket.s3.eu-west-1.amazonaws.com/uploads/{_ID}/photo.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "headers": {"Content-Type": "image/jpeg", "Content-Length": "45000000", "If-None-Match": "*"},
    },
    "expires_at": "2026-11-20T10:15:00Z",
}

STATS: dict[str, Any] = {
    "total": 5,
    "in_progress": 2,
    "success": 2,
    "failed": 1,
    "success_rate": "66.67%",
    "failure_rate": "33.33%",
    "average_processing_time_seconds": 0.42,
    "processing_time_seconds": {"p50": 0.41, "p95": 0.55, "p99": 0.61},
}

ORIGINAL: dict[str, Any] = {
    "status": "success",
    "data": {"url": "https://uploads.s3.eu-west-1.amazonaws.com/uploads/photo.jpg?X-Amz-Signature=0123"},
    "error": None,
}

OF_MODELS = {
    "ImageResponse": IMAGE,
    "AcceptedResponse": ACCEPTED,
    "ListResponse": PAGE,
    "OriginalResponse": ORIGINAL,
    "UploadResponse": UPLOAD,
    "StatsResponse": STATS,
}
"""Examples by the name of the model in `schemas`."""
