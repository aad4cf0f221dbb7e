"""etcd's services from Python: messages made from our own .proto files, calls through Debian's grpcio."""
import atexit
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIP = 77

try:
    import grpc
    from google.protobuf import symbol_database  # noqa: F401
except ImportError:
    print("skipped: python3-grpcio or python3-protobuf is not installed")
    raise SystemExit(SKIP) from None


def _generate():
    directory = tempfile.mkdtemp(prefix="coracle-proto-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    sources = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "proto").glob("*.proto"))
    subprocess.run(["protoc", f"--python_out={directory}", f"-I{ROOT}", *sources], check=True, cwd=ROOT)
    sys.path.insert(0, directory)


_generate()
from proto import election_pb2 as election  # noqa: E402
from proto import kv_pb2 as kv  # noqa: E402,F401
from proto import lock_pb2 as lock  # noqa: E402
from proto import rpc_pb2 as rpc  # noqa: E402

RpcError = grpc.RpcError
StatusCode = grpc.StatusCode


def _find(service, method):
    for file in (rpc, lock, election):
        found = file.DESCRIPTOR.services_by_name.get(service)
        if found is not None:
            return file, found.methods_by_name[method]
    raise KeyError(service)


class Wire:
    """One channel. wire.call("KV", "Put", key=b"k") waits for the answer, wire.future does not; wire.stream gives the
    answers of a server stream."""

    def __init__(self, port, metadata=()):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.metadata = tuple(metadata)

    def _method(self, kind, service, method):
        import importlib
        file, found = _find(service, method)
        module = importlib.import_module(found.output_type.file.name.replace("/", ".").replace(".proto", "_pb2"))
        request_module = importlib.import_module(found.input_type.file.name.replace("/", ".").replace(".proto", "_pb2"))
        path = f"/{file.DESCRIPTOR.package}.{service}/{method}"
        response = getattr(module, found.output_type.name)
        request = getattr(request_module, found.input_type.name)
        return request, kind(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)

    def call(self, service, method, request=None, timeout=60, **fields):
        kind, stub = self._method(self.channel.unary_unary, service, method)
        return stub(request or kind(**fields), timeout=timeout, metadata=self.metadata)

    def future(self, service, method, request=None, timeout=120, **fields):
        kind, stub = self._method(self.channel.unary_unary, service, method)
        return stub.future(request or kind(**fields), timeout=timeout, metadata=self.metadata)

    def stream(self, service, method, request=None, timeout=120, **fields):
        kind, stub = self._method(self.channel.unary_stream, service, method)
        return stub(request or kind(**fields), timeout=timeout, metadata=self.metadata)

    def refused(self, service, method, text, **fields):
        try:
            self.call(service, method, **fields)
        except RpcError as error:
            assert text in error.details(), (error.code(), error.details())
            return error
        raise AssertionError(f"{method} was not refused")

    def close(self):
        self.channel.close()
