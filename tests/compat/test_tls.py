#!/usr/bin/env python3
"""TLS and mutual TLS between members and with clients; certificates that are wrong, and ones that change while kvd runs."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from authority import Authority  # noqa: E402
from cluster import Cluster, etcdctl, require, wait_until  # noqa: E402


class SecureCluster(Cluster):
    def __init__(self, authority, certificate, key):
        super().__init__(3, extra=[
            f"--cert-file={certificate}", f"--key-file={key}", f"--trusted-ca-file={authority.certificate}", "--client-cert-auth",
            f"--peer-cert-file={certificate}", f"--peer-key-file={key}", f"--peer-trusted-ca-file={authority.certificate}",
            "--peer-client-cert-auth"])
        for member in self.members:
            member.scheme = "https"

    def start_secure(self):
        for member in self.members:
            member.start()
        for member in self.members:
            wait_until(lambda m=member: m.has_logged("ready to serve client requests"), 30, f"{member.name} is ready")


def with_certificates(authority, pair):
    return [f"--cacert={authority.certificate}", f"--cert={pair[0]}", f"--key={pair[1]}", "--command-timeout=5s"]


def main():
    require("etcdctl")
    require("openssl")
    with Cluster(0) as scratch:
        directory = scratch.directory
        authority = Authority(directory, "ca")
        stranger = Authority(directory, "stranger")
        server = authority.issue("server")
        client = authority.issue("client")
        foreign = stranger.issue("foreign")
        with SecureCluster(authority, *server) as cluster:
            cluster.start_secure()
            ends = cluster.endpoints
            good = with_certificates(authority, client)
            etcdctl(ends, *good, "put", "secret", "value")
            for member in cluster.members:
                assert etcdctl(member.endpoint, *good, "get", "secret", "--print-value-only").stdout == "value\n"
            print("mutual TLS: ok")

            nobody = etcdctl(ends, f"--cacert={authority.certificate}", "--command-timeout=2s", "get", "secret", check=False)
            assert nobody.returncode != 0 and "value" not in nobody.stdout
            wrong = etcdctl(ends, *with_certificates(authority, foreign)[:3], "--command-timeout=2s", "get", "secret", check=False)
            assert wrong.returncode != 0 and "value" not in wrong.stdout
            plain = etcdctl(ends.replace("https", "http"), "--command-timeout=2s", "get", "secret", check=False)
            assert plain.returncode != 0
            assert any(m.has_logged("rejected connection on client endpoint") for m in cluster.members)
            print("clients without or with a foreign certificate: refused")

            # New certificates in the old files: new connections get them, nothing restarts.
            before = subprocess.run(["openssl", "x509", "-in", str(server[0]), "-noout", "-serial"], capture_output=True, text=True, check=True).stdout
            authority.issue("server")
            after = subprocess.run(["openssl", "x509", "-in", str(server[0]), "-noout", "-serial"], capture_output=True, text=True, check=True).stdout
            assert before != after

            def served():
                shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{cluster.members[0].client_port}", "-CAfile",
                                        str(authority.certificate), "-cert", str(client[0]), "-key", str(client[1])],
                                       capture_output=True, text=True, input="", check=False).stdout
                if "BEGIN CERTIFICATE" not in shown:
                    return False
                pem = "-----BEGIN" + shown.split("-----BEGIN", 1)[1].split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
                serial = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout
                return serial == after

            wait_until(served, 20, "the new certificate is served")
            # A half-written file keeps the last good one in use.
            server[0].write_text("-----BEGIN CERTIFICATE-----\n")
            etcdctl(ends, *good, "put", "secret", "still")
            print("certificates are read again without a restart: ok")


if __name__ == "__main__":
    main()
