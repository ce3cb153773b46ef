"""Lets kazoo's own test suite start `quorate server` where it would start ZooKeeper.

    QUORATE=target/release/quorate ZOOKEEPER_VERSION=3.8.0 ZOOKEEPER_CLASSPATH=none \\
        python3 -m pytest -p kazoo_suite --pyargs kazoo.tests        (with tests/interop on PYTHONPATH)

The suite makes a cluster of three servers and stops and starts them by itself; this gives it another program to run, with the
same configuration but for the keys: PEM files, where Java has key stores.
"""

import os
import subprocess

import OpenSSL
from kazoo.testing import common


class ManagedQuorate(common.ManagedZooKeeper):
    """A server of the cluster under test."""

    def run(self):
        if self.running:
            return
        info, path = self.server_info, self.working_path
        data = os.path.join(path, "data")
        os.makedirs(data, exist_ok=True)
        keys = self._write_keys()
        lines = [
            "tickTime=2000",
            "initLimit=4",
            "syncLimit=2",
            f"dataDir={data}",
            f"clientPort={info.client_port}",
            f"secureClientPort={info.secure_client_port}",
            "maxClientCnxns=0",
            f"admin.serverPort={info.admin_port}",
            "ssl.keyStore.location=" + keys["keystore"],
            "ssl.trustStore.location=" + keys["truststore"],
            *self.configuration_entries,
        ]
        for peer in [info, *self.peers]:
            role = ":observer" if peer.peer_type == "observer" else ""
            lines.append(f"server.{peer.server_id}={self.host}:{peer.leader_port}:{peer.election_port}{role}")
        if info.peer_type == "observer":
            lines.append("peerType=observer")
        # What ZooKeeper takes as a property of the JVM, the configuration takes without its prefix.
        prefix = "-Dzookeeper."
        lines += [line[len(prefix) :] for line in self.java_system_properties if line.startswith(prefix)]
        config = os.path.join(path, "zoo.cfg")
        with open(config, "w") as file:
            file.write("\n".join(lines) + "\n")
        with open(os.path.join(data, "myid"), "w") as file:
            file.write(str(info.server_id))
        log = open(os.path.join(path, "zookeeper.log"), "a")
        self.process = subprocess.Popen([os.environ["QUORATE"], "server", config], stdout=log, stderr=log)
        self._running = True

    def _write_keys(self):
        ssl, pem = self.ssl_configuration, OpenSSL.crypto.FILETYPE_PEM
        certificate = OpenSSL.crypto.dump_certificate(pem, ssl["server_cert"])
        key = OpenSSL.crypto.dump_privatekey(pem, ssl["server_key"])
        files = {"keystore": certificate + key, "truststore": ssl["ca_cert_pem"]}
        names = {name: os.path.join(self.working_path, name + ".pem") for name in files}
        for name, text in files.items():
            with open(names[name], "wb") as file:
                file.write(text)
        return names


class Certificate(OpenSSL.crypto.X509):
    """The suite leaves its certificates at version 1, which rustls does not take."""

    def __init__(self):
        super().__init__()
        self.set_version(2)


OpenSSL.crypto.X509 = Certificate
common.ManagedZooKeeper = ManagedQuorate
