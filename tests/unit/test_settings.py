from pathlib import Path

import pytest

from cloud_server.settings import load_settings
from shared.errors import Code, GoodnoiseError


def test_a_flag_goes_before_the_environment_and_that_before_the_default(tmp_path):
    environment = {"GOODNOISE_CLOUD_BUNDLES": str(tmp_path), "GOODNOISE_CLOUD_GRACE_SECONDS": "3.5"}
    found = load_settings({"grace_seconds": None, "max_concurrent": 7}, environment)
    assert (found.bundles, found.grace_seconds, found.max_concurrent) == (tmp_path, 3.5, 7)
    assert load_settings({"grace_seconds": 1.0}, environment).grace_seconds == 1.0
    assert found.listen == "127.0.0.1:50051"


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("Off", False), ("no", False)])
def test_yes_and_no_have_several_spellings(tmp_path, text, value):
    assert load_settings({"bundles": tmp_path}, {"GOODNOISE_CLOUD_REFLECTION": text}).reflection is value


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        ({"bundles": None}, {}, "--bundles (or GOODNOISE_CLOUD_BUNDLES) is not set"),
        ({"bundles": Path("/nowhere")}, {}, "is '/nowhere': this is no folder"),
        ({"listen": "0.0.0.0:0"}, {}, "is '0.0.0.0:0', outside loopback and without TLS"),
        ({"listen": "cloud.example.org:443"}, {}, "--insecure behind a proxy"),
        ({"listen": "here"}, {}, "'here': expected HOST:PORT"),
        ({"listen": "127.0.0.1:99999"}, {}, "expected HOST:PORT"),
        ({"tls_cert": Path("c.pem")}, {}, "--tls-key (or GOODNOISE_CLOUD_TLS_KEY) is not set"),
        ({"tls_key": Path("k.pem")}, {}, "--tls-cert (or GOODNOISE_CLOUD_TLS_CERT) is not set"),
        ({"tls_key": Path("k.pem"), "tls_cert": Path("c.pem")}, {}, "is 'c.pem': this is no file"),
        ({"operator_listen": "127.0.0.1:1"}, {}, "--operator-ca (or GOODNOISE_CLOUD_OPERATOR_CA) is not set"),
        ({"operator_ca": Path("ca.pem")}, {}, "--operator-listen (or GOODNOISE_CLOUD_OPERATOR_LISTEN)"),
        ({}, {"GOODNOISE_CLOUD_MAX_CONCURRENT": "many"}, "GOODNOISE_CLOUD_MAX_CONCURRENT is 'many'"),
        ({}, {"GOODNOISE_CLOUD_MAX_CONCURRENT": "0"}, "is 0: expected 1 or more"),
        ({}, {"GOODNOISE_CLOUD_GRACE_SECONDS": "nan"}, "--grace-seconds"),
        ({}, {"GOODNOISE_CLOUD_REFLECTION": "maybe"}, "is 'maybe', expected true or false"),
        ({"rate_per_minute": -1}, {}, "is -1: expected 0 or more"),
        ({"waiting": -1}, {}, "--waiting (or GOODNOISE_CLOUD_WAITING) is -1"),
        ({"cluster_hints": Path("/nowhere")}, {}, "--cluster-hints (or GOODNOISE_CLOUD_CLUSTER_HINTS)"),
        ({}, {"GOODNOISE_CLOUD_MODELS": "/nowhere"}, "is '/nowhere': this is no folder"),
        ({"public_faces": Path("/nowhere.npz")}, {}, "there is no such folder or file"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(tmp_path, flags, environment, said):
    with pytest.raises(GoodnoiseError) as caught:
        load_settings({"bundles": tmp_path, **flags}, environment)
    assert caught.value.code is Code.INVALID_INPUT
    assert said in caught.value.message


def test_outside_loopback_goes_with_tls_or_by_an_explicit_word(tmp_path):
    assert load_settings({"bundles": tmp_path, "listen": "0.0.0.0:1", "insecure": True}, {}).insecure
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    flags = {
        "bundles": tmp_path,
        "listen": "[::]:1",
        "tls_cert": tmp_path / "c.pem",
        "tls_key": tmp_path / "k.pem",
    }
    assert load_settings(flags, {}).tls_cert == tmp_path / "c.pem"


def test_an_ensemble_is_named_by_flags_or_with_commas_and_else_none_runs(tmp_path):
    assert not load_settings({"bundles": tmp_path}, {}).runs_ensemble
    found = load_settings({"bundles": tmp_path}, {"GOODNOISE_CLOUD_ENSEMBLE": "sface, mobilefacenet-512"})
    assert (found.ensemble, found.runs_ensemble) == (("sface", "mobilefacenet-512"), True)
    assert load_settings({"bundles": tmp_path, "public_faces": tmp_path}, {}).runs_ensemble
