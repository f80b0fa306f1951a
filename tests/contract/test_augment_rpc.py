"""AugmentService over a real socket: good calls, bad, late, too large and unauthorised ones, others' jobs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from PIL import Image

from cloud_server.augment.jobs.places import Places
from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.augment.jobs.records import ResultFile, State
from cloud_server.rpc.augment.server import SERVICE, running_augment
from cloud_server.rpc.augment.settings import AugmentSettings
from shared.wire.goodnoise.v1 import augment_pb2 as pb
from shared.wire.goodnoise.v1 import augment_pb2_grpc

Code = grpc.StatusCode
RECIPE = "recipe: duplicate\n"
UNKNOWN = "gn_job_" + "A" * 22
ONE_JOB = ("GetJob", "WatchJob", "CancelJob", "DeleteJob", "ListResults", "FetchResults")


def image(number: int = 0, side: int = 8, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


LABELS = ("cat", "cat", "dog")
GOOD = tuple({"content": image(n), "label": LABELS[n], "name": f"../{n}.png"} for n in range(3))


class Owner:
    """The stub as one owner uses it, with a deadline and a token on every call."""

    def __init__(self, address: str, token: str | None) -> None:
        self.stub = augment_pb2_grpc.AugmentServiceStub(grpc.insecure_channel(address))
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __call__(self, method: str, *, timeout: float = 20, **fields: Any) -> Any:
        if method == "SubmitJob":
            return self.submit(timeout=timeout)
        call = getattr(self.stub, method)(
            getattr(pb, f"{method}Request")(**fields), timeout=timeout, metadata=self.metadata
        )
        return list(call) if method in ("WatchJob", "FetchResults") else call

    def submit(self, images=GOOD, *, timeout: float = 20, **order: Any) -> pb.SubmitJobResponse:
        fields = {"key": "one", "recipe": RECIPE, "images": len(images), **order}
        parts = [pb.SubmitJobRequest(order=pb.AugmentOrder(**fields))]
        parts += [pb.SubmitJobRequest(image=pb.AugmentImage(**each)) for each in images]
        return self.send(parts, timeout=timeout)

    def send(self, parts, *, timeout: float = 20) -> pb.SubmitJobResponse:
        return self.stub.SubmitJob(iter(parts), timeout=timeout, metadata=self.metadata)


@dataclass
class Running:
    """A service in this process whose workers never begin, so that jobs stay where tests put them."""

    server: Any
    loop: Any
    data: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.ports['listen']}"

    def owner(self, name: str) -> Owner:
        _, token = self.loop.run(self.server.owners.add(name))
        return Owner(self.address, token)

    def take(self) -> Any:
        return self.loop.run(self.server.store.take(time.time()))

    def finish(self, files: dict[str, bytes]) -> str:
        """Let the next job be done with these results, as a worker would."""
        job = self.take().id
        folder = Places(self.data).of(job).results
        listed = []
        for number, (name, content) in enumerate(files.items()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            listed.append(ResultFile(number, name, len(content), hashlib.sha256(content).hexdigest()))
        now = time.time()
        self.loop.run(self.server.store.done(job, listed, ended=now, expires=now + 60))
        return job

    def files(self) -> list[Path]:
        """Whatever lies there; folders may go while it is looked at, which `rglob` does not bear."""
        walks = [os.walk(self.data / part) for part in ("jobs", "incoming")]
        return [Path(at, name) for walk in walks for at, inner, files in walk for name in (*inner, *files)]


@pytest.fixture
def start(server_loop, tmp_path):
    """`start(quotas={}, **settings)` starts a service."""
    lives = []

    def begin(quotas=None, **settings) -> Running:
        chosen = {"workers": 0, "rate_per_minute": 0, "listen": "127.0.0.1:0", **settings}
        data = tmp_path / "data"
        life = running_augment(AugmentSettings(data=data, quotas=Quotas(**(quotas or {})), **chosen))
        server = server_loop.run(life.__aenter__())
        lives.append(life)
        return Running(server, server_loop, data)

    yield begin
    for life in lives:
        server_loop.run(life.__aexit__(None, None, None))


@pytest.fixture
def service(start):
    return start()


@pytest.fixture
def ann(service):
    return service.owner("ann")


def refused(call, *arguments, **fields) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    return caught.value


def detail(error: grpc.RpcError, kind: Any) -> Any:
    for item in rpc_status.from_call(error).details:
        if item.Is(kind.DESCRIPTOR):
            found = kind()
            item.Unpack(found)
            return found
    return None


def field(error: grpc.RpcError) -> str:
    found = detail(error, error_details_pb2.BadRequest)
    return found.field_violations[0].field if found else ""


def quota(error: grpc.RpcError) -> str:
    assert error.code() is Code.RESOURCE_EXHAUSTED, error.details()
    return detail(error, error_details_pb2.QuotaFailure).violations[0].subject


def eventually(found) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if found():
            return True
    return False


# ---- handing in


def test_images_are_taken_in_under_names_of_the_servers_own(service, ann):
    answer = ann.submit()
    job = answer.job
    assert (job.state, job.images, job.key) == (pb.AUGMENT_STATE_QUEUED, 3, "one")
    assert not answer.repeated_call
    assert job.recipe.startswith("duplicate/")
    folder = Places(service.data).of(job.job_id)
    names = sorted(path.relative_to(folder.images).as_posix() for path in folder.images.rglob("*.*"))
    assert names == ["cat/000001.png", "cat/000002.png", "dog/000003.png"]
    assert "../2.png" in folder.uploads.read_text()
    for path in [service.data, *service.files()]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert (service.data / "state.sqlite").stat().st_mode & 0o077 == 0


def test_groups_are_written_beside_the_images(service, ann):
    images = [{**each, "group": f"colour {n}"} for n, each in enumerate(GOOD)]
    job = ann.submit(images, recipe="recipe: duplicate\ngroup: colour\n").job
    rows = (Places(service.data).of(job.job_id).images / "metadata.csv").read_text().splitlines()
    assert rows == ["file_name,colour", *(f"{LABELS[n]}/00000{n + 1}.png,colour {n}" for n in range(3))]


def test_a_repeat_gives_the_same_job_and_another_order_of_its_key_is_refused(service, ann):
    first = ann.submit()
    again = ann.submit()
    assert again.repeated_call
    assert again.job.job_id == first.job.job_id
    other = refused(ann.submit, recipe="recipe: noise\n")
    assert (other.code(), field(other)) == (Code.FAILED_PRECONDITION, "key")
    assert len(ann("ListJobs").jobs) == 1
    assert service.owner("bob").submit().job.job_id != first.job.job_id


def test_two_uploads_at_once_with_one_key_give_one_job(ann, service):
    both = [ann.stub.SubmitJob.future(iter(_parts()), timeout=60, metadata=ann.metadata) for _ in range(2)]
    jobs = {call.result().job.job_id for call in both}
    assert len(jobs) == 1
    assert [path.name for path in (service.data / "jobs").iterdir()] == list(jobs)
    assert list((service.data / "incoming").iterdir()) == []


def _parts():
    yield pb.SubmitJobRequest(order=pb.AugmentOrder(key="one", recipe=RECIPE, images=len(GOOD)))
    for each in GOOD:
        yield pb.SubmitJobRequest(image=pb.AugmentImage(**each))


BAD_ORDERS = {
    "key": ({"key": ""}, "is empty"),
    "key long": ({"key": "k" * 65}, "at most 64"),
    "key not ascii": ({"key": "ключ"}, "ASCII"),
    "recipe": ({"recipe": ""}, "is empty"),
    "recipe unknown": ({"recipe": "recipe: nope"}, "m2m"),
    "recipe bad yaml": ({"recipe": "recipe: [m2m"}, "no YAML"),
    "recipe bad change": ({"recipe": "recipe: m2m\nchanges: {radius: -1}"}, "radius"),
    "recipe unknown key": ({"recipe": "recipe: m2m\nstep: 3"}, "there is no such key"),
    "recipe wrong type": ({"recipe": "recipe: m2m\nseed: many"}, "whole number"),
    "recipe file": ({"recipe": "recipe: m2m\nsurrogate: {path: /etc/passwd}"}, "cannot be named"),
    "recipe long": ({"recipe": "#" * (64 * 1024 + 1)}, "at most 65536"),
    "images both": ({"dataset": "photos"}, "both dataset and images"),
}


@pytest.mark.parametrize("case", BAD_ORDERS)
def test_orders_that_are_refused(service, ann, case):
    order, why = BAD_ORDERS[case]
    error = refused(ann.submit, **order)
    assert (error.code(), field(error)) == (Code.INVALID_ARGUMENT, case.split()[0])
    assert why in error.details()
    assert service.files() == []


def test_an_order_of_nothing_is_refused(ann):
    error = refused(ann.submit, ())
    assert (error.code(), field(error)) == (Code.INVALID_ARGUMENT, "images")
    assert "neither dataset nor images" in error.details()


BAD_IMAGES = {
    "content": ({"content": b""}, "is empty"),
    "content text": ({"content": b"not a picture"}, "no PNG, JPEG or WebP"),
    "content gif": ({"content": image(kind="GIF")}, "no PNG, JPEG or WebP"),
    "label": ({"label": ""}, "is empty"),
    "label path": ({"label": "../../etc"}, "letters, digits"),
    "label hidden": ({"label": ".ssh"}, "letters, digits"),
    "label absolute": ({"label": "/etc"}, "letters, digits"),
    "label long": ({"label": "a" * 65}, "letters, digits"),
    "name": ({"name": "n" * 256}, "255"),
    "group": ({"group": "red"}, "names no group"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_images_that_are_refused_by_number_and_leave_nothing(service, ann, case):
    change, why = BAD_IMAGES[case]
    error = refused(ann.submit, [GOOD[0], {**GOOD[2], **change}])
    assert (error.code(), field(error)) == (Code.INVALID_ARGUMENT, case.split()[0])
    assert why in error.details()
    assert service.files() == []
    assert not ann("ListJobs").jobs


def test_uploads_that_do_not_fit_their_order(service, ann):
    order = pb.SubmitJobRequest(order=pb.AugmentOrder(key="one", recipe=RECIPE, images=3))
    sent = [pb.SubmitJobRequest(image=pb.AugmentImage(**each)) for each in GOOD]
    for parts, why in (
        ([], "first message"),
        (sent, "first message"),
        ([pb.SubmitJobRequest()], "first message"),
        ([order, order], "must follow the order"),
        ([order, *sent[:2]], "2 came"),
        ([order, *sent, sent[0]], "more images came"),
        ([order, sent[0], sent[0], sent[0]], "the same for all"),
    ):
        error = refused(ann.send, parts)
        assert error.code() is Code.INVALID_ARGUMENT, why
        assert why in error.details()
    splits = [{**each, "label": label} for each, label in zip(GOOD, ("train", "train", "test"), strict=True)]
    assert "names splits" in refused(ann.submit, splits).details()
    assert "names a group" in refused(ann.submit, recipe="recipe: duplicate\ngroup: colour\n").details()
    assert service.files() == []


def test_an_upload_that_breaks_off_leaves_nothing(service, ann):
    def broken():
        yield pb.SubmitJobRequest(order=pb.AugmentOrder(key="one", recipe=RECIPE, images=3))
        yield pb.SubmitJobRequest(image=pb.AugmentImage(**GOOD[0]))
        assert eventually(lambda: any(path.suffix == ".png" for path in service.files()))
        call.cancel()

    call = ann.stub.SubmitJob.future(broken(), timeout=30, metadata=ann.metadata)
    with pytest.raises(grpc.FutureCancelledError):
        call.result()
    assert eventually(lambda: service.files() == [])
    assert not ann("ListJobs").jobs


def test_an_upload_that_falls_silent_ends(start):
    service = start({"idle_seconds": 0.2})
    ann, ended = service.owner("ann"), threading.Event()

    def silent():
        yield pb.SubmitJobRequest(order=pb.AugmentOrder(key="one", recipe=RECIPE, images=3))
        ended.wait(20)

    call = ann.stub.SubmitJob.future(silent(), timeout=30, metadata=ann.metadata)
    error = call.exception()
    ended.set()
    assert error.code() is Code.DEADLINE_EXCEEDED
    assert "same key" in error.details()
    assert service.files() == []


# ---- quotas


QUOTAS = {
    "images": ({"images": 2}, {}),
    "image_bytes": ({"image_bytes": 100}, {}),
    "upload_bytes": ({"upload_bytes": 2 * len(image())}, {}),
    "pixels": ({"pixels": 63}, {}),
    "disk": ({"disk": 1}, {}),
    "side": ({"side": 16}, {"recipe": "recipe: duplicate\nresize: [17, 8]"}),
    "samples": ({"samples": 9}, {"recipe": "recipe: duplicate\nsampling_strategy: {cat: 5, dog: 5}"}),
    "updates": ({"updates": 99}, {"recipe": "recipe: m2m\nsurrogate: {train: {updates: 100}}"}),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_quotas_refuse_what_is_too_much(start, name):
    quotas, order = QUOTAS[name]
    service = start(quotas)
    ann = service.owner("ann")
    if name == "disk":
        ann.submit()
        order = {"key": "two"}
    assert quota(refused(ann.submit, **order)) == name
    assert len(ann("ListJobs").jobs) == (name == "disk")


def test_jobs_of_one_owner_are_counted(start):
    service = start({"open_jobs": 2, "jobs": 3})
    ann, bob = service.owner("ann"), service.owner("bob")
    jobs = [ann.submit(key=f"{n}").job.job_id for n in range(2)]
    error = refused(ann.submit, key="2")
    assert quota(error) == "open_jobs"
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds == 30
    bob.submit()
    ann("CancelJob", job_id=jobs[0])
    ann.submit(key="2")
    ann("CancelJob", job_id=jobs[1])
    assert quota(refused(ann.submit, key="3")) == "jobs"
    ann("DeleteJob", job_id=jobs[1])
    ann.submit(key="3")


def test_messages_that_are_too_large_are_refused(service, ann):
    error = refused(ann.submit, [{**GOOD[0], "content": bytes(5 << 20)}])
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert service.files() == []


# ---- datasets of the operator


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for label in ("cat", "dog"):
        (root / "pets" / label).mkdir(parents=True)
        (root / "pets" / label / "1.png").write_bytes(image())
    (tmp_path / "secret" / "cat").mkdir(parents=True)
    (tmp_path / "secret" / "cat" / "1.png").write_bytes(image())
    (root / "away").symlink_to(tmp_path / "secret")
    (root / "mixed").mkdir()
    (root / "mixed" / "cat").symlink_to(tmp_path / "secret" / "cat")
    (root / "inside").symlink_to(root / "pets")
    return root


LOCATIONS = {
    "photos/../secret": Code.INVALID_ARGUMENT,
    "photos/./pets": Code.INVALID_ARGUMENT,
    "photos//pets": Code.INVALID_ARGUMENT,
    "photos/pets/": Code.INVALID_ARGUMENT,
    "/etc": Code.INVALID_ARGUMENT,
    "../photos": Code.INVALID_ARGUMENT,
    "~/photos": Code.INVALID_ARGUMENT,
    "photos\\..\\secret": Code.INVALID_ARGUMENT,
    "photos/\0": Code.INVALID_ARGUMENT,
    "photos/.hidden": Code.INVALID_ARGUMENT,
    "file:///etc": Code.INVALID_ARGUMENT,
    "https://example.org/x": Code.INVALID_ARGUMENT,
    "s3://bucket/x": Code.INVALID_ARGUMENT,
    "p" * 513: Code.INVALID_ARGUMENT,
    "secret": Code.PERMISSION_DENIED,
    "secret/cat": Code.PERMISSION_DENIED,
    "photos/away": Code.PERMISSION_DENIED,
    "photos/away/cat": Code.PERMISSION_DENIED,
    "photos/away/none": Code.PERMISSION_DENIED,
    "photos/mixed": Code.PERMISSION_DENIED,
    "photos/none": Code.NOT_FOUND,
}


def test_datasets_are_what_the_operator_allowed(start, photos):
    service = start(datasets={"photos": photos})
    ann = service.owner("ann")
    for location, code in LOCATIONS.items():
        error = refused(ann.submit, (), dataset=location)
        assert (error.code(), field(error)) == (code, "dataset"), location
        assert str(photos.parent) not in error.details()
    assert service.files() == []
    for location in ("photos/pets", "photos/inside"):
        job = ann.submit((), dataset=location, key=location).job
        assert (job.dataset, job.images) == (location, 0)
    order = pb.SubmitJobRequest(order=pb.AugmentOrder(key="x", recipe=RECIPE, dataset="photos/pets"))
    both = refused(ann.send, [order, pb.SubmitJobRequest(image=pb.AugmentImage(**GOOD[0]))])
    assert "the order names a dataset" in both.details()


# ---- who asks


@pytest.mark.parametrize("method", ["SubmitJob", "ListJobs", *ONE_JOB])
def test_calls_without_an_owner_are_refused(service, method):
    fields = {"job_id": UNKNOWN} if method in ONE_JOB else {}
    for token in (None, "wrong", "gn_owner_" + "A" * 43, "x" * 200):
        error = refused(Owner(service.address, token), method, **fields)
        assert error.code() is Code.UNAUTHENTICATED
        assert "Bearer" in error.details()
        assert token is None or token not in error.details()


@pytest.mark.parametrize("method", ONE_JOB)
def test_jobs_of_others_answer_as_those_that_do_not_exist(service, ann, method):
    job = ann.submit().job.job_id
    bob = service.owner("bob")
    other, none = refused(bob, method, job_id=job), refused(bob, method, job_id=UNKNOWN)
    assert (other.code(), other.details()) == (none.code(), none.details())
    assert other.code() is Code.NOT_FOUND
    assert not bob("ListJobs").jobs
    assert ann("GetJob", job_id=job).job.state == pb.AUGMENT_STATE_QUEUED


@pytest.mark.parametrize("method", ONE_JOB)
def test_names_of_jobs_are_checked(ann, method):
    for name in ("", "x" * 65, "gn_job_\n"):
        error = refused(ann, method, job_id=name)
        assert (error.code(), field(error)) == (Code.INVALID_ARGUMENT, "job_id")


@pytest.mark.parametrize("method", ["SubmitJob", "ListJobs", *ONE_JOB])
def test_late_calls_do_nothing(service, ann, method):
    job = ann.submit().job.job_id
    fields = {"job_id": job} if method in ONE_JOB else {}
    assert refused(ann, method, timeout=0.001, **fields).code() is Code.DEADLINE_EXCEEDED
    assert ann("GetJob", job_id=job).job.revision == 1


def test_a_removed_owner_loses_access_and_jobs(service, ann):
    ann.submit()
    service.loop.run(service.server.owners.remove("ann"))
    assert refused(ann, "ListJobs").code() is Code.UNAUTHENTICATED
    service.loop.run(service.server.tidying.look())
    assert service.files() == []
    # The name, given again, is another owner.
    assert not service.owner("ann")("ListJobs").jobs


# ---- watching, cancelling, listing


def test_a_watch_shows_changes_and_resumes(service, ann):
    job = ann.submit().job.job_id
    call = ann.stub.WatchJob(pb.WatchJobRequest(job_id=job), timeout=60, metadata=ann.metadata)
    assert next(call).job.state == pb.AUGMENT_STATE_QUEUED
    ann("CancelJob", job_id=job)
    last = next(call).job
    assert (last.state, last.revision) == (pb.AUGMENT_STATE_CANCELLED, 2)
    assert list(call) == []
    assert [answer.job.revision for answer in ann("WatchJob", job_id=job)] == [2]
    assert ann("WatchJob", job_id=job, after_revision=2) == []
    assert [answer.job.revision for answer in ann("WatchJob", job_id=job, after_revision=1)] == [2]


def test_a_watch_ends_with_a_deleted_job_and_at_its_deadline(service, ann):
    job = ann.submit().job.job_id
    assert refused(ann, "WatchJob", job_id=job, timeout=0.3).code() is Code.DEADLINE_EXCEEDED
    call = ann.stub.WatchJob(pb.WatchJobRequest(job_id=job), timeout=60, metadata=ann.metadata)
    next(call)
    ann("DeleteJob", job_id=job)
    assert refused(next, call).code() is Code.NOT_FOUND


def test_cancelled_jobs_leave_no_files_and_deleted_ones_free_their_key(service, ann):
    job = ann.submit().job.job_id
    for _ in range(2):
        assert ann("CancelJob", job_id=job).job.state == pb.AUGMENT_STATE_CANCELLED
    assert service.files() == []
    assert refused(ann, "ListResults", job_id=job).code() is Code.FAILED_PRECONDITION
    assert ann.submit().job.state == pb.AUGMENT_STATE_CANCELLED
    ann("DeleteJob", job_id=job)
    assert refused(ann, "DeleteJob", job_id=job).code() is Code.NOT_FOUND
    assert ann.submit().job.state == pb.AUGMENT_STATE_QUEUED


def test_jobs_are_listed_in_pages(ann):
    keys = [f"{n}" for n in range(4)]
    for key in keys:
        ann.submit(key=key)
    found, token = [], ""
    while True:
        page = ann("ListJobs", page_size=3, page_token=token)
        found += [job.key for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert found == keys[::-1]
    assert [job.waiting_before for job in ann("ListJobs").jobs] == [3, 2, 1, 0]
    for bad in (UNKNOWN, "x" * 65):
        assert field(refused(ann, "ListJobs", page_token=bad)) == "page_token"


# ---- results


FILES = {"dataset/a.png": bytes(range(256)) * 2000, "dataset/empty.csv": b"", "report/r.md": b"words"}


def test_results_are_listed_and_fetched_from_any_place(service, ann):
    ann.submit()
    job = service.finish(FILES)
    listed = ann("ListResults", job_id=job, page_size=2)
    rest = ann("ListResults", job_id=job, page_size=2, page_token=listed.next_page_token)
    files = [*listed.files, *rest.files]
    assert rest.next_page_token == ""
    assert {file.name: file.sha256 for file in files} == {
        name: hashlib.sha256(content).digest() for name, content in FILES.items()
    }
    done = ann("GetJob", job_id=job).job
    assert (done.result_files, done.result_bytes) == (3, sum(file.size for file in files))
    contents = list(FILES.values())
    whole = ann("FetchResults", job_id=job)
    assert [part.file for part in whole] == [0, 0, 1, 2]
    assert max(len(part.part) for part in whole) == 256 << 10
    for number in range(3):
        assert b"".join(part.part for part in whole if part.file == number) == contents[number]
    part = ann("FetchResults", job_id=job, offset=511_000, files=1)
    assert b"".join(each.part for each in part) == contents[0][511_000:]
    assert [each.part for each in ann("FetchResults", job_id=job, file=2, offset=5)] == [b""]
    wrongs = (({"file": 3}, "file"), ({"file": 2**63}, "file"), ({"file": 2, "offset": 6}, "offset"))
    for wrong, name in wrongs:
        error = refused(ann, "FetchResults", job_id=job, **wrong)
        assert (error.code(), field(error)) == (Code.OUT_OF_RANGE, name)
    assert field(refused(ann, "ListResults", job_id=job, page_token="x")) == "page_token"  # noqa: S106
    assert refused(ann, "CancelJob", job_id=job).code() is Code.FAILED_PRECONDITION


def test_damaged_results_are_told_of(service, ann):
    ann.submit()
    job = service.finish(FILES)
    path = Places(service.data).of(job).results / "dataset/a.png"
    path.write_bytes(b"short")
    assert refused(ann, "FetchResults", job_id=job).code() is Code.DATA_LOSS
    path.unlink()
    assert refused(ann, "FetchResults", job_id=job).code() is Code.FAILED_PRECONDITION


def test_results_of_jobs_that_are_not_done_or_expired(start):
    service = start({"keep_seconds": 0.001, "remember_seconds": 3600})
    ann = service.owner("ann")
    ann.submit()
    job = service.finish(FILES)
    service.loop.run(service.server.store.change(job, list(State), expires=time.time() - 1))
    service.loop.run(service.server.tidying.look())
    assert ann("GetJob", job_id=job).job.state == pb.AUGMENT_STATE_EXPIRED
    assert service.files() == []
    for method in ("ListResults", "FetchResults"):
        error = refused(ann, method, job_id=job)
        assert error.code() is Code.FAILED_PRECONDITION
        assert "expired" in error.details()
    service.loop.run(service.server.store.change(job, list(State), expires=time.time() - 7200))
    service.loop.run(service.server.tidying.look())
    assert refused(ann, "GetJob", job_id=job).code() is Code.NOT_FOUND


# ---- life


def test_health_limits_and_metrics_name_nobody(start):
    service = start(metrics_port=0, rate_per_minute=6)
    ann = service.owner("ann")
    ann.submit(key="secret-key")
    error = refused(ann, "ListJobs")
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert detail(error, error_details_pb2.RetryInfo) is not None
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(service.address))
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    assert stub.Check(request, timeout=60).status == health_pb2.HealthCheckResponse.SERVING
    service.loop.run(service.server.tidying.look())
    page = _page(service.server.ports["metrics"])
    assert 'goodnoise_augment_jobs{state="queued"} 1.0' in page
    assert "goodnoise_augment_queue_depth 1.0" in page
    assert "goodnoise_augment_images_total 3.0" in page
    assert "ann" not in page.replace("annotations", "")
    assert "secret-key" not in page


def _page(port: int) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()


def test_over_tls_owners_call_and_strangers_certificates_are_refused(start, tls):
    service = start(tls_cert=tls / "cert.pem", tls_key=tls / "key.pem")
    _, token = service.loop.run(service.server.owners.add("ann"))
    for authority, works in (("ca.pem", True), ("other.pem", False)):
        credentials = grpc.ssl_channel_credentials((tls / authority).read_bytes())
        stub = augment_pb2_grpc.AugmentServiceStub(grpc.secure_channel(service.address, credentials))
        metadata = (("authorization", f"Bearer {token}"),)
        if works:
            assert not stub.ListJobs(pb.ListJobsRequest(), timeout=60, metadata=metadata).jobs
        else:
            error = refused(stub.ListJobs, pb.ListJobsRequest(), timeout=60, metadata=metadata)
            assert error.code() is Code.UNAVAILABLE


def test_a_restart_keeps_jobs_and_sweeps_what_broke_off(server_loop, tmp_path):
    settings = AugmentSettings(data=tmp_path / "data", listen="127.0.0.1:0", workers=0, rate_per_minute=0)

    async def first() -> tuple[str, str]:
        async with running_augment(settings) as server:
            _, token = await server.owners.add("ann")
            owner = Owner(f"127.0.0.1:{server.ports['listen']}", token)
            job = await asyncio.to_thread(owner.submit)
            taken = await server.store.take(time.time())
            return token, (taken or job.job).id

    token, job = server_loop.run(first())
    places = Places(settings.data)
    broken = places.stage(places.new_job())
    (broken.path / "x").write_bytes(b"x")
    (settings.data / "jobs" / ("gn_job_" + "B" * 22)).mkdir()

    async def second() -> pb.AugmentJob:
        async with running_augment(settings) as server:
            owner = Owner(f"127.0.0.1:{server.ports['listen']}", token)
            return (await asyncio.to_thread(owner, "GetJob", job_id=job)).job

    assert server_loop.run(second()).state == pb.AUGMENT_STATE_QUEUED
    assert [path.name for path in (settings.data / "jobs").iterdir()] == [job]
    assert list((settings.data / "incoming").iterdir()) == []
