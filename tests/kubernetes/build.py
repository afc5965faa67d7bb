"""A real kube-apiserver and kube-controller-manager, built from Debian's source package, and Debian's etcd.

There is no binary of them in Debian or on PyPI. The source (1.20 in bookworm) is built with Debian's Go; 13 minutes
on two cores, and 5 GB while it is built. Nothing is installed, no root.
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chrysalis.sandbox.debian import holds_all, libraries, unpack
from chrysalis.sandbox.programs import run

GO = ("golang-1.19-go", "golang-1.19-src")
GO_ROOT = "usr/lib/go-1.19"
MAPS = "golang-github-modern-go-reflect2-dev"
"""The source carries 1.0.1 of it, which reads the maps of Go before 1.18 and crashes the server with a later one."""
MAPS_SOURCE = "github.com/modern-go/reflect2"
MAPS_FOLDER = f"usr/share/gocode/src/{MAPS_SOURCE}"
BUILT = ("kube-apiserver", "kube-controller-manager")
SOURCE = "source"
BUILD_S = 7200
ADVICE = "it needs Debian bookworm with dpkg-source and make, or CHRYSALIS_TEST_KUBECONFIG with a server of your own"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they are."""

    etcd: Path
    apiserver: Path
    controllers: Path


def ensure_programs(home: Path) -> Programs:
    """The programs below `home`, built where they are not there yet. Raises SettingsError."""
    etcd = unpack(home / "etcd", ["etcd-server"], holds=["usr/bin/etcd"], advice=ADVICE) / "usr/bin/etcd"
    folder = home / "kubernetes"
    if not holds_all(folder, BUILT):
        with tempfile.TemporaryDirectory(dir=home, prefix=".kubernetes-") as work:
            _build(Path(work), home)
            output = next(Path(work).glob(f"{SOURCE}/_output/local/bin/*/*"))
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in BUILT:
                shutil.copy2(output / name, folder / name)
    return Programs(etcd, folder / BUILT[0], folder / BUILT[1])


def _build(work: Path, home: Path) -> None:
    go = unpack(home / "go", GO, holds=[f"{GO_ROOT}/bin/go"], advice=ADVICE)
    rsync = unpack(home / "rsync", ["rsync", "libpopt0"], holds=["usr/bin/rsync"], advice=ADVICE)
    _fetch_source(work)
    unpacked = next(one for one in work.glob("kubernetes-*") if one.is_dir())
    version = re.split(r"-|\+really", unpacked.name)[-1]
    source = unpacked.rename(work / SOURCE)
    _renew(source / "vendor" / MAPS_SOURCE, unpack(home / "maps", [MAPS], holds=[MAPS_FOLDER], advice=ADVICE))
    # Its make files find themselves by GOPATH.
    linked = source / ".go/src/k8s.io/kubernetes"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(source)
    environment = {
        "PATH": os.pathsep.join([str(go / GO_ROOT / "bin"), str(rsync / "usr/bin"), os.environ["PATH"]]),
        "LD_LIBRARY_PATH": libraries(rsync),
        "HOME": str(work),
        "PWD": str(linked),
        "GOROOT": str(go / GO_ROOT),
        "GOPATH": str(source / ".go"),
        "GO111MODULE": "auto",
        "GOFLAGS": "-mod=vendor",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
        "KUBE_GIT_VERSION": f"v{version}",
        "KUBE_GIT_TREE_STATE": "clean",
        "KUBE_GIT_COMMIT": "debian",
    }
    what = " ".join(f"cmd/{name}" for name in BUILT)
    run(["make", f"WHAT={what}"], linked, environment=environment, timeout_s=BUILD_S, told=20, advice=ADVICE)


def _renew(vendored: Path, package: Path) -> None:
    """The sources of a library as Debian has them, in place of those that came with Kubernetes."""
    for kind in ("*.go", "*.s"):
        for old in vendored.glob(kind):
            old.unlink()
        for new in (package / MAPS_FOLDER).glob(kind):
            shutil.copy2(new, vendored / new.name)


def _fetch_source(work: Path) -> None:
    """Debian's source package, by lists of our own: a machine's apt seldom knows sources, and is left as it is."""
    listed = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)"
    found = run(["apt-get", "indextargets", "--format", listed], work, told=1, advice=ADVICE)
    lines = {f"deb-src {line.rpartition(' ')[0]}" for line in found.splitlines() if line.endswith(" Packages")}
    (work / "sources.list").write_text("\n".join(sorted(lines)) + "\n")
    options = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
    }
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    apt = ["apt-get", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    for action in (["update"], ["source", "kubernetes"]):
        run([*apt, *action], work, timeout_s=BUILD_S, told=1, advice=ADVICE)
