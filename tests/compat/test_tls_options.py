#!/usr/bin/env python3
"""The finer points of TLS: one port for HTTP/2, HTTP/1.1 and what is neither; revocation lists as PEM and as DER; cipher suites by
their names; names that certificates must have."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from authority import Authority, openssl  # noqa: E402
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402
from test_tls import SecureCluster, with_certificates  # noqa: E402

CIPHER = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
CIPHER_OF_OPENSSL = "ECDHE-ECDSA-AES256-GCM-SHA384"


def patient(authority, pair):
    """The options of a client that must succeed, on any machine."""
    return [*with_certificates(authority, pair)[:3], "--command-timeout=25s"]


def curl(*arguments):
    return subprocess.run(["curl", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", *arguments],
                          capture_output=True, text=True, check=False)


class OneMember(Cluster):
    """One member that speaks TLS, also to the peers it does not have."""

    def __init__(self, *options):
        super().__init__(1)
        member = self.members[0]
        member.scheme = "https"
        member.extra = [*options, *(o.replace("--", "--peer-", 1) for o in options[:2])]  # its certificate and key

    def __enter__(self):
        member = self.members[0].start()
        wait_until(lambda: member.has_logged("ready to serve client requests"), 60, "the member is ready")
        return self


def server_options(authority, pair):
    return [f"--cert-file={pair[0]}", f"--key-file={pair[1]}", f"--trusted-ca-file={authority.certificate}", "--client-cert-auth"]


def test_one_port_serves_every_protocol(authority, server, client):
    with Cluster(1) as plain:
        plain.start()
        port = plain.members[0].client_port
        assert curl("--http1.1", f"http://127.0.0.1:{port}/version").stdout == "1.1 200"
        assert curl("--http2-prior-knowledge", f"http://127.0.0.1:{port}/version").stdout == "2 200"
        etcdctl(plain.endpoints, "--command-timeout=25s", "put", "plain", "1")  # gRPC
        refused = curl("-k", f"https://127.0.0.1:{port}/version")
        assert refused.returncode != 0
        etcdctl(plain.endpoints, "--command-timeout=25s", "get", "plain")  # and it minds nobody else
    with OneMember(*server_options(authority, server)) as tls:
        port = tls.members[0].client_port
        identity = ["--cacert", str(authority.certificate), "--cert", str(client[0]), "--key", str(client[1])]
        assert curl("--http1.1", *identity, f"https://127.0.0.1:{port}/version").stdout == "1.1 200"
        assert curl("--http2", *identity, f"https://127.0.0.1:{port}/version").stdout == "2 200"
        etcdctl(tls.endpoints, *patient(authority, client), "put", "secret", "1")
        assert curl("--http1.1", f"http://127.0.0.1:{port}/version").stdout != "1.1 200"
        etcdctl(tls.endpoints, *patient(authority, client), "get", "secret")


def revocation_list(authority, revoked, directory):
    """(PEM, DER) of a list that names one certificate."""
    (directory / "index.txt").write_text("")
    (directory / "crlnumber").write_text("01\n")
    config = directory / "ca.conf"
    config.write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={directory}/index.txt\ncrlnumber={directory}/crlnumber\ndefault_md=sha256\n"
                      "default_crl_days=2\n")
    ca = ["ca", "-config", str(config), "-cert", str(authority.certificate), "-keyfile", str(authority.key)]
    openssl(*ca, "-revoke", str(revoked[0]))
    pem, der = directory / "list.pem", directory / "list.der"
    openssl(*ca, "-gencrl", "-out", str(pem))
    openssl("crl", "-in", str(pem), "-outform", "DER", "-out", str(der))
    return pem, der


def test_revoked_certificates_are_refused(authority, server, client, revoked, lists):
    for path in lists:
        with OneMember(*server_options(authority, server), f"--client-crl-file={path}") as cluster:
            etcdctl(cluster.endpoints, *patient(authority, client), "put", "a", "1")
            result = etcdctl(cluster.endpoints, *with_certificates(authority, revoked)[:3], "--command-timeout=2s", "get", "a", check=False)
            assert result.returncode != 0 and "1" not in result.stdout, result.stdout
            assert curl("--cacert", str(authority.certificate), "--cert", str(revoked[0]), "--key", str(revoked[1]),
                        f"{cluster.endpoints}/version").returncode != 0
            wait_until(lambda c=cluster: c.members[0].has_logged("rejected connection on client endpoint"), 60, "it is logged")


def test_cipher_suites_have_the_names_of_the_rfcs(authority, server, client):
    options = [*server_options(authority, server), "--tls-max-version=TLS1.2"]
    with OneMember(*options, f"--cipher-suites={CIPHER}") as cluster:
        port = cluster.members[0].client_port
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", str(client[0]), "-key", str(client[1]), "-CAfile",
                   str(authority.certificate)]
        shown = subprocess.run(command, capture_output=True, text=True, input="", check=False).stdout
        assert f"Cipher is {CIPHER_OF_OPENSSL}" in shown, shown
        other = subprocess.run([*command, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], capture_output=True, text=True,
                               input="", check=False).stdout
        assert "Cipher is (NONE)" in other, other
    with Cluster(1) as cluster:
        member = cluster.members[0]
        member.scheme = "https"
        member.extra = [*options, "--cipher-suites=TLS_NO_SUCH_SUITE"]
        member.start()
        assert member.wait(60) != 0
        assert "TLS_NO_SUCH_SUITE" in member.tail(), member.tail()


def test_peers_need_the_allowed_name(authority, server):
    """All members have the common name "server"."""
    with SecureCluster(authority, *server) as cluster:
        cluster.extra.append("--peer-cert-allowed-cn=server")
        cluster.start_secure()
    with SecureCluster(authority, *server) as cluster:
        cluster.extra.append("--peer-cert-allowed-cn=somebody")
        for member in cluster.members:
            member.start()
        wait_until(lambda: any(m.has_logged("rejected connection on peer endpoint") for m in cluster.members), 60, "peers are refused")
        assert not any(m.has_logged("ready to serve client requests") for m in cluster.members)


def test_clients_need_an_allowed_host_name(authority, server, client):
    for name, is_allowed in (("localhost", True), ("elsewhere.example", False)):
        with OneMember(*server_options(authority, server), f"--client-cert-allowed-hostname={name}") as cluster:
            options = with_certificates(authority, client)[:3]
            result = etcdctl(cluster.endpoints, *options, f"--command-timeout={'25s' if is_allowed else '2s'}", "put", "a", "1", check=False)
            assert (result.returncode == 0) == is_allowed, (name, result.stderr)


def test_certificates_that_cannot_be_used_are_named(authority, directory):
    broken = directory / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for pair in ((broken, authority.key), (directory / "absent.pem", authority.key), (authority.certificate, broken)):
        with Cluster(1) as cluster:
            member = cluster.members[0]
            member.scheme = "https"
            member.extra = [f"--cert-file={pair[0]}", f"--key-file={pair[1]}"]
            member.start()
            assert member.wait(60) != 0
            assert any(str(path) in member.tail() for path in pair), member.tail()


def main():
    for program in ("etcdctl", "openssl", "curl"):
        require(program)
    with Cluster(0) as scratch:
        directory = scratch.directory
        authority = Authority(directory, "ca")
        server, client, revoked = (authority.issue(name) for name in ("server", "client", "revoked"))
        test_one_port_serves_every_protocol(authority, server, client)
        print("one port, every protocol: ok", flush=True)
        test_revoked_certificates_are_refused(authority, server, client, revoked, revocation_list(authority, revoked, directory))
        print("revocation lists, PEM and DER: ok", flush=True)
        test_cipher_suites_have_the_names_of_the_rfcs(authority, server, client)
        print("cipher suites: ok", flush=True)
        test_peers_need_the_allowed_name(authority, server)
        test_clients_need_an_allowed_host_name(authority, server, client)
        print("allowed names: ok", flush=True)
        test_certificates_that_cannot_be_used_are_named(authority, directory)
        print("bad certificates: ok", flush=True)


if __name__ == "__main__":
    main()
