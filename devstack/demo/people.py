"""The people of the story: each acts over HTTP, as a browser or an app would."""

import io
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image, ImageDraw

Json = dict[str, Any]


class UnexpectedAnswerError(Exception):
    """The API did not answer as the story needs."""


class Person:
    """Somebody with an account and an access token."""

    def __init__(self, base_url: str, *, name: str, email: str) -> None:
        self.name, self.email, self.password = name, email, f"demo-{uuid4().hex[:12]}"
        self._http = httpx.Client(base_url=f"{base_url}/api/v1", timeout=20.0)
        self.post("/auth/register", {"email": email, "password": self.password, "display_name": name}, key=False)
        self.sign_in()
        self.id: str = self.get("/me")["id"]

    def sign_in(self) -> None:
        """Exchange the password for a token."""
        tokens = self.post("/auth/token", {"email": self.email, "password": self.password}, key=False)
        self._http.headers["Authorization"] = f"Bearer {tokens['access']}"

    def get(self, path: str, **query: Any) -> Json:
        """Read something."""
        return self._json(self._http.get(path, params=query))

    def status_of(self, path: str) -> int:
        """The HTTP status that reading this gives."""
        return self._http.get(path).status_code

    def bytes_of(self, address: str) -> bytes:
        """What stands behind an address that the API handed out."""
        answer = self._http.get(httpx.URL(self._http.base_url).join(address))
        if answer.status_code != httpx.codes.OK:
            raise UnexpectedAnswerError(f"GET {address} answered {answer.status_code}")
        return answer.content

    def post(self, path: str, body: Json | None = None, *, key: bool = True) -> Json:
        """Do something; with a fresh Idempotency-Key unless told otherwise."""
        return self._json(self._http.post(path, json=body or {}, headers=self._key() if key else {}))

    def refused(self, method: str, path: str, body: Json | None = None) -> Json:
        """Try something that must not be allowed; the problem that came back."""
        answer = self._http.request(method, path, json=body, headers=self._key())
        if answer.is_success:
            raise UnexpectedAnswerError(f"{method} {path} was allowed")
        return dict(answer.json())

    def put(self, path: str) -> Json:
        """Set something."""
        return self._json(self._http.put(path, json={}))

    def patch(self, path: str, body: Json, *, version: int) -> Json:
        """Change something, if it is still at this version."""
        return self._json(self._http.patch(path, json=body, headers={"If-Match": f'"{version}"'}))

    def delete(self, path: str) -> None:
        """Remove something."""
        self._json(self._http.delete(path))

    def upload(self, picture: bytes) -> str:
        """Upload a photo; its id."""
        files = {"file": ("photo.jpg", picture, "image/jpeg")}
        answer = self._json(self._http.post("/media", files=files, data={"kind": "image"}, headers=self._key()))
        return str(answer["id"])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @staticmethod
    def _key() -> dict[str, str]:
        return {"Idempotency-Key": uuid4().hex}

    @staticmethod
    def _json(answer: httpx.Response) -> Json:
        if not answer.is_success:
            request = answer.request
            raise UnexpectedAnswerError(
                f"{request.method} {request.url.path} answered {answer.status_code}: {answer.text[:500]}"
            )
        return dict(answer.json()) if answer.content else {}


def photo(colour: tuple[int, int, int]) -> bytes:
    """A JPEG of 1600 by 1200 pixels that says where it was taken, as a telephone's does."""
    image = Image.linear_gradient("L").resize((1600, 1200)).convert("RGB")
    ImageDraw.Draw(image).ellipse((500, 300, 1100, 900), fill=colour)
    exif = Image.Exif()
    exif[0x010E] = "taken at home"  # ImageDescription
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


def eventually(condition: Callable[[], bool], *, seconds: float = 25.0) -> bool:
    """Whether this comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
