"""The server as an operator meets it: start, health, reflection, TLS, metrics, logs, settings, end."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cloud_server.rpc.server import SERVICES
from edge_client.store import BundleStore
from edge_client.update import update
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
GOODNOISE_CLOUD = (sys.executable, "-m", "cloud_server.cli")


def goodnoise_cloud(*arguments, **environment):
    return subprocess.run(
        [*GOODNOISE_CLOUD, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin", **environment},
    )


@pytest.fixture
def device(trust, tmp_path):
    return trust.trusting(BundleStore(tmp_path / "device"))


@pytest.fixture
def tls_cloud(start_cloud, make_bundle, tls):
    cloud = start_cloud(tls_cert=tls / "cert.pem", tls_key=tls / "key.pem")
    cloud.bundles.publish(*make_bundle())
    return cloud


def test_an_update_works_over_tls_with_a_private_authority(tls_cloud, tls, device):
    assert update(tls_cloud.address, device, ca=tls / "ca.pem").version == "1"


def test_a_server_of_another_authority_is_refused(tls_cloud, tls, device):
    with pytest.raises(GoodnoiseError, match="--ca FILE") as caught:
        update(tls_cloud.address, device, ca=tls / "other.pem")
    assert caught.value.code is Code.UNAVAILABLE


def test_a_plaintext_server_is_refused_where_tls_is_asked_for(start_cloud, make_bundle, tls, device):
    cloud = start_cloud()
    cloud.bundles.publish(*make_bundle())
    with pytest.raises(GoodnoiseError) as caught:
        update(cloud.address, device, ca=tls / "ca.pem")
    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_bad_authority_file_is_named(content, tmp_path, device):
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GoodnoiseError, match=r"authority\.pem") as caught:
        update("127.0.0.1:1", device, ca=path)
    assert caught.value.code is Code.INVALID_INPUT


def test_the_server_asks_for_no_client_certificate_and_the_probe_speaks_tls(tls_cloud, tls):
    done = goodnoise_cloud("health", tls_cloud.address, "--ca", str(tls / "ca.pem"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "SERVING"


def test_operators_show_a_certificate_and_devices_none(start_cloud, make_bundle, tls):
    cloud = start_cloud(
        tls_cert=tls / "cert.pem",
        tls_key=tls / "key.pem",
        operator_listen="127.0.0.1:0",
        operator_ca=tls / "ca.pem",
    )
    operators = f"127.0.0.1:{cloud.server.operators.port}"
    ask = ("health", operators, "--ca", str(tls / "ca.pem"), "--timeout", "5")
    # The server's own certificate is of the authority that operators need.
    known = goodnoise_cloud(*ask, "--cert", str(tls / "cert.pem"), "--key", str(tls / "key.pem"))
    assert known.returncode == 0, known.stderr
    assert json.loads(known.stdout)["status"] == "SERVING"
    assert goodnoise_cloud(*ask).returncode != 0
    # Where devices call, nobody is asked for one, and operators' address serves no bundles.
    assert goodnoise_cloud("health", cloud.address, "--ca", str(tls / "ca.pem")).returncode == 0
    half = goodnoise_cloud(*ask, "--cert", str(tls / "cert.pem"))
    assert half.returncode == 2
    assert "--key" in half.stderr


def test_a_stranger_is_no_operator(start_cloud, tls, tmp_path):
    cloud = start_cloud(
        tls_cert=tls / "cert.pem",
        tls_key=tls / "key.pem",
        operator_listen="127.0.0.1:0",
        operator_ca=tls / "other.pem",
    )
    operators = f"127.0.0.1:{cloud.server.operators.port}"
    pair = ("--cert", str(tls / "cert.pem"), "--key", str(tls / "key.pem"))
    refused = goodnoise_cloud("health", operators, "--ca", str(tls / "ca.pem"), "--timeout", "5", *pair)
    assert refused.returncode != 0


def test_a_key_that_is_none_is_an_error_at_the_start(start_cloud, tls, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(GoodnoiseError, match="--listen"):
        start_cloud(tls_cert=tls / "cert.pem", tls_key=wrong)


# ---- health, reflection, metrics


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_each_service_is_serving(start_cloud, service):
    with grpc.insecure_channel(start_cloud().address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service), timeout=5
        )
    assert answer.status == SERVING


def test_an_unknown_service_is_not_found(start_cloud):
    done = goodnoise_cloud("health", start_cloud().address, "--service", "goodnoise.v1.Nothing")
    assert (done.returncode, "knows no service" in done.stderr) == (2, True)


def test_the_probe_of_a_dead_server_says_so():
    done = goodnoise_cloud("health", "127.0.0.1:1", "--timeout", "1")
    assert (done.returncode, "cannot reach 127.0.0.1:1" in done.stderr) == (3, True)


def test_watchers_are_told_before_the_server_stops_and_calls_in_flight_end_well(start_cloud, make_bundle):
    cloud = start_cloud()
    content = bytes(16 << 20)
    manifest, objects = make_bundle(big=content)
    cloud.bundles.publish(manifest, objects)
    with grpc.insecure_channel(cloud.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
        assert next(watch).status == SERVING
        digest = bytes.fromhex(manifest.object_of("big").sha256)
        request = bundle_pb2.FetchObjectRequest(sha256=digest)
        stream = bundle_pb2_grpc.BundleServiceStub(channel).FetchObject(request, timeout=30)
        received = len(next(stream).part)
        stopping = threading.Thread(
            target=lambda: cloud.loop.run(cloud.server.stop(drain_seconds=0, grace_seconds=30))
        )
        stopping.start()
        assert next(watch).status == NOT_SERVING
        received += sum(len(answer.part) for answer in stream)
        watch.cancel()
        stopping.join(30)
    assert received == len(content)
    assert not stopping.is_alive()


def _reflected(address):
    with grpc.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(stub.ServerReflectionInfo(iter([request]), timeout=60))
        return {service.name for service in answer.list_services_response.service}


def test_reflection_lists_the_services_when_asked_for(start_cloud):
    assert set(SERVICES) < _reflected(start_cloud(reflection=True).address)


def test_reflection_is_off_by_default(start_cloud):
    with pytest.raises(grpc.RpcError) as caught:
        _reflected(start_cloud().address)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_metrics_count_calls_by_method_and_code(start_cloud, make_bundle, device):
    cloud = start_cloud(metrics_port=0)
    with pytest.raises(GoodnoiseError):
        update(cloud.address, device)
    cloud.bundles.publish(*make_bundle())
    update(cloud.address, device)
    with urllib.request.urlopen(f"http://127.0.0.1:{cloud.server.page.port}/metrics", timeout=60) as page:
        text = page.read().decode()
    assert 'goodnoise_rpc_total{code="OK",method="HintService/Catalogue"} 1.0' in text
    assert 'goodnoise_rpc_total{code="FAILED_PRECONDITION",method="HintService/Catalogue"} 1.0' in text
    assert 'goodnoise_rpc_total{code="OK",method="BundleService/FetchObject"} 2.0' in text
    assert 'goodnoise_rpc_seconds_count{method="BundleService/GetMetadata"} 5.0' in text
    assert "127.0.0.1" not in text


# ---- the process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(spawn_cloud, number):
    cloud = spawn_cloud()
    code, logged = cloud.end(number)
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert (code, events) == (0, ["draining", "stopped"])


def test_logs_are_json_lines_without_addresses(spawn_cloud, start_cloud, make_bundle, device):
    process = spawn_cloud("--reflection")
    start_cloud().bundles.publish(*make_bundle())  # the same folder
    update(process.address, device)
    _, logged = process.end()
    calls = [line for line in map(json.loads, logged.splitlines()) if line["event"] == "call"]
    assert [(c["method"], c["code"]) for c in calls] == [
        ("HintService/Catalogue", "OK"),
        ("BundleService/GetMetadata", "NOT_FOUND"),  # 2.root.json: there is none
        *[("BundleService/GetMetadata", "OK")] * 4,
        ("BundleService/FetchObject", "OK"),
        ("BundleService/FetchObject", "OK"),
    ]
    assert all(set(c) == {"time", "level", "event", "method", "code", "ms", "bytes"} for c in calls)
    assert all((c["bytes"] > 0 or c["code"] != "OK") and c["ms"] >= 0 for c in calls)
    assert "127.0.0.1" not in logged


def test_a_taken_port_is_an_error_that_names_it(start_cloud, tmp_path):
    taken = start_cloud().address
    done = goodnoise_cloud("serve", "--bundles", str(tmp_path), "--listen", taken)
    assert (done.returncode, taken in done.stderr) == (3, True)


def test_a_wrong_setting_ends_the_command_with_its_name_and_value():
    done = goodnoise_cloud("serve", "--bundles", ".", GOODNOISE_CLOUD_MAX_CONCURRENT="many")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "GOODNOISE_CLOUD_MAX_CONCURRENT is 'many', expected a whole number" in done.stderr


def test_settings_come_from_the_environment_too(tmp_path, spawn_cloud, monkeypatch):
    monkeypatch.setenv("GOODNOISE_CLOUD_REFLECTION", "true")
    assert set(SERVICES) < _reflected(spawn_cloud().address)


def test_published_metadata_is_served_as_it_was_written(spawn_cloud, start_cloud, make_bundle, tmp_path):
    process = spawn_cloud()
    bundles = start_cloud().bundles
    bundles.publish(*make_bundle())
    with grpc.insecure_channel(process.address) as channel:
        request = bundle_pb2.GetMetadataRequest(name="timestamp.json", profile="full")
        answer = bundle_pb2_grpc.BundleServiceStub(channel).GetMetadata(request, timeout=60)
    assert answer.content == (tmp_path / "published" / "metadata" / "timestamp.json").read_bytes()
