"""The caller's recordings of terminals: list, look at, download, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.files import File
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from devpocket.api import ApiViewSet
from devpocket.errors import NotFound
from devpocket.openapi import paged, refuses
from devpocket.paging import Page
from environments.errors import InvalidState
from terminals import recordings
from terminals.api.recording_serializers import RecordingSerializer, RecordingsQuery
from terminals.models import Recording

CONTENT_TYPE = "application/x-asciicast"
CHUNK_BYTES = 64 * 1024
DISPOSITION = OpenApiParameter(
    "Content-Disposition",
    location=OpenApiParameter.HEADER,
    required=True,
    response=[200],
    description="With a name for the file.",
)


def parse_id(raw: str) -> UUID:
    """Raises: NotFound; a malformed id is as unknown as an unknown one."""
    try:
        return UUID(raw)
    except ValueError as error:
        raise NotFound("There is no such recording.") from error


class Chunks:
    """A file, read in threads as the client takes it. The response closes it, also where the client has gone."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.close = file.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = sync_to_async(self._file.read, thread_sensitive=False)
        while chunk := await read(CHUNK_BYTES):
            yield chunk


class RecordingViewSet(ApiViewSet):
    @paged("recordings")
    @extend_schema(responses=RecordingSerializer(many=True), parameters=[RecordingsQuery])
    def list(self, request: Request) -> Response:
        """The caller's recordings, newest first."""
        query = RecordingsQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        rows = recordings.recordings_of(request.user.pk).filter(**query.validated_data)
        page = Page(request)
        found, total = page.cut(rows)
        return page.response(list(RecordingSerializer(found, many=True).data), total, plural="recordings")

    @extend_schema(responses=RecordingSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One recording."""
        recording = recordings.get_recording(parse_id(pk), owner_id=request.user.pk)
        return Response(RecordingSerializer(recording).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a recording, with its file.

        A terminal that is being recorded goes on; its recording ends within half a minute.
        """
        recordings.recording_delete(recording_id=parse_id(pk), owner_id=request.user.pk)
        return Response(status=204)

    @refuses(InvalidState)
    @extend_schema(
        responses={(200, CONTENT_TYPE): OpenApiTypes.BINARY},
        operation_id="terminal_recordings_download",
        parameters=[DISPOSITION],
    )
    async def download(self, request: Request, pk: str) -> HttpResponseBase:
        """The asciicast v2 file, once the recording has ended."""
        recording, file, size_bytes = await sync_to_async(self._open)(parse_id(pk), request.user.pk)
        headers = {"Content-Length": str(size_bytes), "Content-Disposition": _disposition(recording)}
        if request.method == "HEAD":
            file.close()
            return HttpResponse(content_type=CONTENT_TYPE, headers=headers)
        return StreamingHttpResponse(Chunks(file), content_type=CONTENT_TYPE, headers=headers)

    def _open(self, recording_id: UUID, owner_id: UUID) -> tuple[Recording, File, int]:
        recording = recordings.get_recording(recording_id, owner_id=owner_id)
        return recording, *recordings.recording_open(recording)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if "pk" in kwargs:
            recordings.get_recording(parse_id(kwargs["pk"]), owner_id=request.user.pk)
        return super().options(request, *args, **kwargs)


def _disposition(recording: Recording) -> str:
    slug = recording.environment_slug or slugify(recording.environment_name) or "terminal"
    return f'attachment; filename="{slug}-{recording.started_at:%Y-%m-%d}.cast"'
