"""Parts of the service of jobs: the queue's order, the store's states, owners, roots, quotas, names."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from cloud_server.augment.jobs.changes import Changes
from cloud_server.augment.jobs.orders import checked_job
from cloud_server.augment.jobs.owners import OwnerBook
from cloud_server.augment.jobs.places import Places
from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.augment.jobs.records import OPEN, Order, ResultFile, State, StoredJob
from cloud_server.augment.jobs.roots import Roots, parse_folders
from cloud_server.augment.jobs.store import JobStore
from cloud_server.augment.progress import Progress, Stage
from cloud_server.rpc.augment.settings import AugmentSettings
from shared.errors import Code, GoodnoiseError
from shared.wire.augment import file_name

WIDE = Quotas(open_jobs=100, jobs=100)


@pytest.fixture
async def store(tmp_path):
    opened = JobStore(tmp_path / "state.sqlite")
    yield opened
    await opened.close()


async def put(store, owner: str, key: str, created: float) -> str:
    job = StoredJob(f"gn_job_{owner}{key}", owner, key, "digest", "m2m/1", "", 3, created)
    return (await store.put(job, WIDE)).id


async def test_owners_take_turns_and_what_was_begun_goes_first(store):
    for number in range(3):
        await put(store, "ann", f"{number}", number)
    await put(store, "bob", "0", 10)
    order = []
    for moment in range(100, 104):
        taken = await store.take(moment)
        order.append(taken.owner + taken.key)
    assert order == ["ann0", "bob0", "ann1", "ann2"]
    assert await store.take(104) is None
    assert await store.requeue() == 4
    again = await store.take(200)
    assert (again.owner + again.key, again.started) == ("ann0", 100)


async def test_a_job_changes_only_from_the_states_that_are_named(store):
    job = await put(store, "ann", "0", 0)
    assert await store.change(job, (State.RUNNING,), progress=Progress(Stage.SAMPLES, 1, 2)) is None
    await store.take(1.0)
    changed = await store.change(job, (State.RUNNING,), progress=Progress(Stage.SAMPLES, 1, 2, 3, 4))
    assert (await store.get("ann", job)) == changed
    assert (changed.revision, changed.progress) == (3, Progress(Stage.SAMPLES, 1, 2, 3, 4))
    await store.change(job, OPEN, state=State.CANCELLED)
    assert await store.done(job, [ResultFile(0, "a", 1, "00")], ended=1.0) is None
    assert await store.results(job, 0, 10) == ()
    assert await store.count() == {**dict.fromkeys(State, 0), State.CANCELLED: 1}


async def test_jobs_outlive_the_store_and_have_one_owner(store, tmp_path):
    job = await put(store, "ann", "0", 0)
    assert await put(store, "ann", "0", 5) == job
    await store.change(job, OPEN, held=17, message="näme")
    other = JobStore(tmp_path / "state.sqlite")
    assert (await other.get("ann", job)).message == "näme"
    assert await other.get("bob", job) is None
    assert await other.held() == 17
    await other.close()


async def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "state.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(GoodnoiseError, match="--data") as caught:
        JobStore(tmp_path / "state.sqlite")
    assert caught.value.code is Code.PRECONDITION


async def test_tokens_are_kept_as_hashes_and_rotate(store, tmp_path):
    book = OwnerBook(store)
    owner, token = await book.add("ann")
    assert await book.of_token(token) == owner
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    fresh = await book.rotate("ann")
    assert await book.of_token(token) is None
    assert (await book.of_token(fresh)).id == owner.id
    for name in ("ann", "", "x" * 101, "a\nb"):
        with pytest.raises(GoodnoiseError) as caught:
            await book.add(name)
        assert caught.value.code is Code.INVALID_INPUT
    await book.remove("ann")
    for call in (book.remove, book.rotate):
        with pytest.raises(GoodnoiseError) as caught:
            await call("ann")
        assert caught.value.code is Code.NOT_FOUND


async def test_a_change_between_ticket_and_wait_is_not_missed():
    changes = Changes()
    ticket = changes.ticket("a")
    assert changes.ticket("a") is ticket
    changes.tell("a")
    begun = time.monotonic()
    await changes.wait(ticket)
    assert time.monotonic() - begun < 1
    assert changes.ticket("a") is not ticket


async def test_a_folder_serves_one_server(tmp_path):
    first, second = Places(tmp_path / "data"), Places(tmp_path / "data")
    first.claim()
    with pytest.raises(GoodnoiseError, match="another server"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_jobs_folders_have_names_of_the_servers_own(tmp_path):
    places = Places(tmp_path)
    for name in ("..", "gn_job_../../etc", "", "gn_job_" + "A" * 21):
        for call in (places.of, places.stage, places.drop, places.keep):
            with pytest.raises(ValueError, match="none that was made here"):
                call(name)


def test_roots_are_given_as_name_and_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    roots = Roots(parse_folders([f"photos={tmp_path / 'photos'}"]))
    assert roots.find("photos") == tmp_path / "photos"
    for bad in ("photos", "photos=", "../x=/tmp", f"photos={tmp_path / 'none'}"):
        with pytest.raises(GoodnoiseError, match="NAME=FOLDER"):
            Roots(parse_folders([bad]))
    with pytest.raises(GoodnoiseError, match="twice"):
        parse_folders(["a=/tmp", "a=/var"])


def test_links_in_linked_folders_are_found_and_rings_end(tmp_path):
    root, deep = tmp_path / "root", tmp_path / "root" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "ring").symlink_to(root)
    (root / "view").symlink_to(root / "a")
    assert Roots({"r": root}).find("r/view") == root / "a"
    (deep / "out").symlink_to("/etc/hostname")
    for location in ("r", "r/a", "r/view"):
        with pytest.raises(GoodnoiseError, match="leaves its root") as caught:
            Roots({"r": root}).find(location)
        assert caught.value.code is Code.PERMISSION


def test_orders_are_told_apart_by_all_but_their_key():
    order = Order("a", "recipe: m2m", images=3)
    assert order.digest == replace(order, key="b").digest
    for change in ({"recipe": "recipe: noise"}, {"images": 4}, {"dataset": "x"}, {"include_originals": True}):
        assert replace(order, **change).digest != order.digest


def test_a_group_may_not_take_the_column_of_names():
    with pytest.raises(GoodnoiseError, match="file_name"):
        checked_job(Order("a", "recipe: duplicate\ngroup: file_name\n"), Quotas())


@pytest.mark.parametrize(
    "name", ["", "/a", "../a", "a/../b", "a//b", "a/.", "c:/a", "a\\b", "a\0", "a" * 1025]
)
def test_a_client_writes_no_file_outside_of_its_folder(name):
    with pytest.raises(GoodnoiseError) as caught:
        file_name(name)
    assert caught.value.code is Code.CORRUPT
    assert file_name("dataset/train/a b.png") == "dataset/train/a b.png"


def test_settings_refuse_what_is_not_safe(tmp_path):
    for change, why in (
        ({"listen": "0.0.0.0:1"}, "without TLS"),
        ({"listen": "nonsense"}, "HOST:PORT"),
        ({"tls_cert": tmp_path / "x"}, "belong together"),
        ({"operator_listen": "127.0.0.1:0"}, "operator-ca"),
    ):
        with pytest.raises(GoodnoiseError, match=why):
            AugmentSettings(data=tmp_path, **change)
    with pytest.raises(ValueError, match="images"):
        Quotas(images=0)


async def test_watchers_do_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr("cloud_server.augment.jobs.changes._POLL_SECONDS", 0.01)
    changes = Changes()
    await asyncio.wait_for(changes.wait(changes.ticket("a")), 5)
