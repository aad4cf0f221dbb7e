#!/usr/bin/env python3
"""What a listener asks of certificates beside a good chain: revocation on every listener, names, the address of a peer, versions
and cipher suites; the refused side hears an alert."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from authority import Authority, openssl  # noqa: E402
from cluster import Cluster, free_ports, require, wait_until  # noqa: E402


def issue(authority, name, names):
    """A certificate with these alternative names."""
    key, request, certificate, extensions = (authority.directory / f"{name}{end}" for end in (".key", ".csr", ".pem", ".ext"))
    extensions.write_text((f"subjectAltName={names}\n" if names else "") + "extendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", str(key),
            "-out", str(request))
    openssl("x509", "-req", "-in", str(request), "-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial",
            "-days", "2", "-extfile", str(extensions), "-out", str(certificate))
    return certificate, key


def revocation_list(authority, certificate):
    directory = authority.directory
    (directory / "index").write_text("")
    (directory / "crlnumber").write_text("01\n")
    config = directory / "ca.conf"
    config.write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={directory}/index\ncrlnumber={directory}/crlnumber\ndefault_md=sha256\n"
                      "default_crl_days=2\n")
    common = ["-config", str(config), "-keyfile", str(authority.key), "-cert", str(authority.certificate)]
    openssl("ca", *common, "-revoke", str(certificate))
    path = directory / "crl.pem"
    openssl("ca", *common, "-gencrl", "-out", str(path))
    return path


def good(port, authority, pair, *arguments):
    wait_until(lambda: "etcdserver" in get(port, authority, pair, *arguments), 60, "an answer to a good certificate")


def get(port, authority, pair, *arguments):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(authority.certificate), "-quiet", "-ign_eof"]
    if pair:
        command += ["-cert", str(pair[0]), "-key", str(pair[1])]
    result = subprocess.run([*command, *arguments], input="GET /version HTTP/1.0\r\n\r\n", capture_output=True, text=True, timeout=60,
                            check=False)
    return result.stdout + result.stderr


def refused(port, authority, pair, alert, *arguments):
    said = get(port, authority, pair, *arguments)
    assert "etcdserver" not in said and alert in said, said


def test_revocation_and_addresses(authority):
    server = issue(authority, "server", "IP:127.0.0.1,DNS:localhost")
    client = issue(authority, "client", "IP:127.0.0.1")
    revoked = issue(authority, "revoked", "IP:127.0.0.1")
    elsewhere = issue(authority, "elsewhere", "IP:10.1.2.3")
    crl = revocation_list(authority, revoked[0])
    with Cluster(1) as cluster:
        member = cluster.members[0]
        secure, http_only, metrics = free_ports(3)
        peer = f"https://127.0.0.1:{member.peer_port}"
        ca = str(authority.certificate)
        member.initial = f"m1={peer}"
        member.extra = [
            f"--listen-client-urls={member.endpoint},https://127.0.0.1:{secure}", f"--listen-client-http-urls=https://127.0.0.1:{http_only}",
            f"--listen-metrics-urls=https://127.0.0.1:{metrics}", f"--cert-file={server[0]}", f"--key-file={server[1]}",
            f"--trusted-ca-file={ca}", "--client-cert-auth", f"--client-crl-file={crl}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--peer-cert-file={server[0]}", f"--peer-key-file={server[1]}",
            f"--peer-trusted-ca-file={ca}", "--peer-client-cert-auth", f"--peer-crl-file={crl}", "--tls-max-version=TLS1.2",
            "--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,ECDHE-ECDSA-AES256-GCM-SHA384"]
        cluster.start()
        for port in (secure, http_only, metrics, member.peer_port):
            good(port, authority, client)
            refused(port, authority, revoked, "certificate revoked")
            refused(port, authority, None, "alert")
        refused(member.peer_port, authority, elsewhere, "alert bad certificate")
        assert member.has_logged("rejected connection on peer endpoint")
        assert any("x509: certificate is valid for 10.1.2.3, not 127.0.0.1" in line.get("error", "") for line in member.log())
        good(secure, authority, elsewhere)  # clients may come from anywhere
        good(secure, authority, client, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
        good(secure, authority, client, "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")
        refused(secure, authority, client, "alert", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")
        refused(secure, authority, client, "alert protocol version", "-tls1_3")


def test_names_of_peers(authority):
    names = {"m1": "one.example", "m2": "two.example", "m3": "three.example"}
    pairs = {m: issue(authority, n, "IP:127.0.0.1,DNS:localhost") for m, n in names.items()}
    with Cluster(3) as cluster:
        for member in cluster.members:
            peer = f"https://127.0.0.1:{member.peer_port}"
            pair = pairs[member.name]
            member.initial = ",".join(f"{m.name}=https://127.0.0.1:{m.peer_port}" for m in cluster.members)
            member.extra = [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--peer-cert-file={pair[0]}",
                            f"--peer-key-file={pair[1]}", f"--peer-trusted-ca-file={authority.certificate}", "--peer-client-cert-auth",
                            "--peer-cert-allowed-cn=one.example,two.example"]
            member.start()
        one, two, three = cluster.members
        one.wait_ready(60)
        two.wait_ready(60)

        def told():
            return any("remote error: tls: bad certificate" in line.get("error", "") for line in three.log())
        wait_until(told, 60, "the third hears why")


def test_names_of_clients(authority):
    server = issue(authority, "names", "IP:127.0.0.1")
    with Cluster(1) as cluster:
        member = cluster.members[0]
        (secure,) = free_ports(1)
        member.extra = [f"--listen-client-urls={member.endpoint},https://127.0.0.1:{secure}", f"--cert-file={server[0]}",
                        f"--key-file={server[1]}", f"--trusted-ca-file={authority.certificate}", "--client-cert-auth",
                        "--client-cert-allowed-hostname=a.example,b.example"]
        cluster.start()
        good(secure, authority, issue(authority, "b", "DNS:b.example"))
        refused(secure, authority, issue(authority, "c", "DNS:c.example"), "alert bad certificate")
        assert any("client certificate authentication failed" in line.get("error", "") for line in member.log())


def main():
    require("openssl")
    with Cluster(0) as scratch:
        authority = Authority(scratch.directory, "ca")
        test_revocation_and_addresses(authority)
        test_names_of_peers(authority)
        test_names_of_clients(authority)
        print("TLS rules: ok")


if __name__ == "__main__":
    main()
