"""CaptchaAdminService over a real socket, on both of its addresses: token on loopback, mutual TLS."""

import stat
import time

import grpc
import pytest

from shared.wire.goodnoise.v1 import captcha_pb2 as pb
from shared.wire.goodnoise.v1 import captcha_pb2_grpc

Code = grpc.StatusCode
UNKNOWN = {"site_key": "gn_site_" + "A" * 22}
CALLS = {
    "CreateSite": {},
    "RotateSecret": UNKNOWN,
    "ListSites": {},
    "DisableSite": UNKNOWN,
    "EnableSite": UNKNOWN,
    "DeleteSite": UNKNOWN,
    "GetPoolDepth": {},
    "PublishReport": {"report": b"{}"},
}


class Admin:
    """The stub of the operators' service, with a deadline and the token on every call."""

    def __init__(self, running):
        self.running = running
        self.stub = captcha_pb2_grpc.CaptchaAdminServiceStub(grpc.insecure_channel(running.admin))
        self.public = captcha_pb2_grpc.CaptchaServiceStub(grpc.insecure_channel(running.address))
        self.metadata = (("authorization", f"Bearer {running.token}"),)

    def __call__(self, method, *, metadata=None, timeout=60, **fields):
        request = getattr(pb, f"{method}Request")(**fields)
        return getattr(self.stub, method)(request, timeout=timeout, metadata=metadata or self.metadata)

    def verify(self, secret):
        """Verify of a token that is none: it tells whether the secret is one of a site."""
        metadata = (("authorization", f"Bearer {secret}"),)
        return self.public.Verify(pb.VerifyRequest(token="gn1.x"), timeout=60, metadata=metadata)  # noqa: S106


def refused(call, *arguments, **fields):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    return caught.value.code()


def eventually(code, call, *arguments, **fields):
    """Whether a call ends with this code, None for none, in the two seconds of the proto and some more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = None
        try:
            call(*arguments, **fields)
        except grpc.RpcError as error:
            found = error.code()
        if found is code:
            return True
    return False


@pytest.fixture
def admin(start_captcha):
    return Admin(start_captcha())


def test_a_site_is_made_and_its_secret_shown_once(admin):
    made = admin("CreateSite", name="Shop", hostnames=["shop.example", "*.shop.example"], refuse_work=True)
    assert made.secret.startswith("gn_secret_")
    site = made.site
    assert (site.name, list(site.hostnames)) == ("Shop", ["shop.example", "*.shop.example"])
    assert (site.work_allowed, site.disabled) == (False, False)
    listed = admin("ListSites")
    assert site in listed.sites
    assert made.secret not in str(listed)
    assert list(admin.verify(made.secret).error_codes) == ["invalid-input-response"]


def test_a_rotated_secret_lives_on_beside_the_new_one_until_the_next(admin):
    made = admin("CreateSite")
    second = admin("RotateSecret", site_key=made.site.site_key).secret
    for secret in (made.secret, second):
        admin.verify(secret)
    third = admin("RotateSecret", site_key=made.site.site_key).secret
    assert len({made.secret, second, third}) == 3
    for secret in (second, third):
        admin.verify(secret)
    assert eventually(Code.UNAUTHENTICATED, admin.verify, made.secret)


def test_a_site_is_disabled_enabled_and_deleted(admin):
    made = admin("CreateSite")
    issue = pb.IssueRequest(site_key=made.site.site_key, kind=pb.CAPTCHA_KIND_WORK)
    key = {"site_key": made.site.site_key}
    for _ in range(2):
        admin("DisableSite", **key)
    assert eventually(Code.NOT_FOUND, admin.public.Issue, issue, timeout=60)
    assert eventually(Code.UNAUTHENTICATED, admin.verify, made.secret)
    assert [site.disabled for site in admin("ListSites").sites if site.site_key == key["site_key"]] == [True]
    admin("EnableSite", **key)
    assert eventually(None, admin.public.Issue, issue, timeout=60)
    admin("DeleteSite", **key)
    assert refused(admin, "DeleteSite", **key) is Code.NOT_FOUND
    assert eventually(Code.NOT_FOUND, admin.public.Issue, issue, timeout=60)
    assert eventually(Code.UNAUTHENTICATED, admin.verify, made.secret)


def test_sites_are_listed_in_pages(admin):
    keys = [admin.running.site.key, *(admin("CreateSite").site.site_key for _ in range(4))]
    found, token = [], ""
    while True:
        page = admin("ListSites", page_size=2, page_token=token)
        assert len(page.sites) <= 2
        found += [site.site_key for site in page.sites]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == sorted(keys)
    assert refused(admin, "ListSites", page_token="gn_site_gone") is Code.INVALID_ARGUMENT  # noqa: S106


def test_the_pool_is_counted(admin):
    assert admin("GetPoolDepth").images == 0
    admin.running.fill("HEXAR", "KLAMP")
    assert admin("GetPoolDepth").images == 2


def test_a_report_is_published(admin):
    admin("PublishReport", report=b'{"solvers": 5}')
    assert admin.public.GetReport(pb.GetReportRequest(), timeout=60).report == b'{"solvers": 5}'


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("CreateSite", {"name": "n" * 101}),
        ("CreateSite", {"name": "a\nb"}),
        ("CreateSite", {"hostnames": ["https://shop.example"]}),
        ("CreateSite", {"hostnames": ["shop.example:443"]}),
        ("CreateSite", {"hostnames": [""]}),
        ("CreateSite", {"hostnames": ["h" * 256]}),
        ("CreateSite", {"hostnames": [f"h{n}.example" for n in range(65)]}),
        ("RotateSecret", {"site_key": ""}),
        ("DisableSite", {"site_key": "k" * 65}),
        ("EnableSite", {"site_key": "\n"}),
        ("DeleteSite", {"site_key": "é"}),
        ("ListSites", {"page_token": "t" * 65}),
        ("PublishReport", {"report": b""}),
        ("PublishReport", {"report": b"[1]"}),
        ("PublishReport", {"report": b'{"a": "' + b"x" * (1 << 20) + b'"}'}),
    ],
)
def test_a_bad_field_is_refused_and_changes_nothing(admin, method, fields):
    before = admin("ListSites")
    assert refused(admin, method, **fields) is Code.INVALID_ARGUMENT
    assert admin("ListSites") == before
    assert refused(admin.public.GetReport, pb.GetReportRequest(), timeout=60) is Code.NOT_FOUND


@pytest.mark.parametrize("method", [name for name in CALLS if CALLS[name] is UNKNOWN])
def test_an_unknown_site_is_not_found(admin, method):
    assert refused(admin, method, **UNKNOWN) is Code.NOT_FOUND


@pytest.mark.parametrize("method", CALLS)
def test_every_method_wants_the_token_in_time(admin, method):
    secret = (("authorization", f"Bearer {admin.running.secret}"),)
    for metadata in ((("x", "y"),), secret, (("authorization", "Bearer "),), admin.metadata * 2):
        assert refused(admin, method, metadata=metadata, **CALLS[method]) is Code.UNAUTHENTICATED
    assert refused(admin, method, timeout=0.0, **CALLS[method]) is Code.DEADLINE_EXCEEDED
    assert [site.site_key for site in admin("ListSites").sites] == [admin.running.site.key]


def test_a_giant_report_is_refused_before_it_is_read(admin):
    assert refused(admin, "PublishReport", report=b"x" * (5 << 20)) is Code.RESOURCE_EXHAUSTED


def test_the_token_is_for_its_owner_alone(admin, tmp_path):
    assert stat.S_IMODE((tmp_path / "admin-token").stat().st_mode) == 0o600
    assert len(admin.running.token) >= 32


def test_visitors_reach_no_operators_service(admin):
    stub = captcha_pb2_grpc.CaptchaAdminServiceStub(grpc.insecure_channel(admin.running.address))
    assert refused(stub.ListSites, pb.ListSitesRequest(), timeout=60) is Code.UNIMPLEMENTED


def test_with_an_authority_operators_show_a_certificate(start_captcha, tls):
    running = start_captcha(
        tls_cert=tls / "cert.pem", tls_key=tls / "key.pem", admin_ca=tls / "ca.pem", admin_token_file=None
    )
    ca, key, cert = ((tls / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem"))
    known = grpc.ssl_channel_credentials(ca, key, cert)
    with grpc.secure_channel(running.admin, known) as channel:
        answer = captcha_pb2_grpc.CaptchaAdminServiceStub(channel).ListSites(
            pb.ListSitesRequest(), timeout=10
        )
    assert [site.site_key for site in answer.sites] == [running.site.key]
    stranger = grpc.ssl_channel_credentials(ca)
    with grpc.secure_channel(running.admin, stranger) as channel:
        stub = captcha_pb2_grpc.CaptchaAdminServiceStub(channel)
        assert refused(stub.ListSites, pb.ListSitesRequest(), timeout=60) is Code.UNAVAILABLE
    # Visitors' address asks for none.
    with grpc.secure_channel(running.address, stranger) as channel:
        stub = captcha_pb2_grpc.CaptchaServiceStub(channel)
        assert refused(stub.GetReport, pb.GetReportRequest(), timeout=60) is Code.NOT_FOUND
