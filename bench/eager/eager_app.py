"""An API as in the tutorials: FastAPI behind Mangum, with its clients created at import, and one read route."""

from __future__ import annotations

import os
from typing import Any

import boto3
from fastapi import FastAPI, HTTPException
from mangum import Mangum

dynamodb = boto3.client("dynamodb")
s3 = boto3.client("s3")
sqs = boto3.client("sqs")
app = FastAPI()


@app.get("/api/images/{image_id}")
def get_image(image_id: str) -> dict[str, Any]:
    response = dynamodb.get_item(
        TableName=os.environ["IMAGES_TABLE"], Key={"image_id": {"S": image_id}}, ConsistentRead=True
    )
    if "Item" not in response:
        raise HTTPException(404)
    return {name: next(iter(value.values())) for name, value in response["Item"].items()}


handler = Mangum(app, lifespan="off")
