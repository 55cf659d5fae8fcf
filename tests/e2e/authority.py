"""A certificate authority for tests: certificates of every kind, as files."""

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

import http_client

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def new_key(kind):
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)


def subject_of(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def write_key(path, key):
    data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Issued:
    """A certificate and its key: `cert` and `key` are the files."""

    def __init__(self, cert, key, certificate):
        self.cert, self.key, self.certificate = str(cert), str(key), certificate

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self):
        return self.certificate.fingerprint(hashes.SHA256()).hex()


class Authority:
    def __init__(self, folder, name="Test authority"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name, self.private = subject_of(name), new_key("ec")
        self.certificate = self._builder(self.name, self.private, now() - DAY, now() + 3650 * DAY).add_extension(
            x509.BasicConstraints(True, 0), True).add_extension(x509.KeyUsage(
                False, False, False, False, False, True, True, False, False), True).sign(self.private, hashes.SHA256())
        self.file = str(self.folder / "ca.pem")
        Path(self.file).write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, key, begin, end):
        return x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(begin).not_valid_after(end).add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)

    def issue(self, *names, file=None, kind="ec", begin=None, end=None, client=False, subject=None, responder=None):
        """A certificate for host names, or of a client."""
        key = new_key(kind)
        builder = self._builder(subject_of(subject or (names[0] if names else "nobody")), key, begin or now() - DAY,
                                end or now() + 90 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private.public_key()), False)
        if names:
            kinds = [x509.RFC822Name(name) if "@" in name else alternative(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(kinds), False)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if responder:
            builder = builder.add_extension(x509.AuthorityInformationAccess([x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder))]), False)
        certificate = builder.sign(self.private, hashes.SHA256())
        stem = file or (names[0] if names else "nobody").replace("*", "any")
        cert, key_file = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (certificate, self.certificate))
        temporary = cert.with_suffix(".new")
        write_key(key_file, key)
        temporary.write_bytes(pem)
        temporary.rename(cert)
        return Issued(cert, key_file, certificate)

    def staple(self, issued, good=True, until=7 * DAY, since=-DAY):
        """What the authority says about a certificate (DER)."""
        status = ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED
        return ocsp.OCSPResponseBuilder().add_response(
            issued.certificate, self.certificate, hashes.SHA1(), status, now() + since, now() + until,
            None if good else now() - DAY, None if good else x509.ReasonFlags.key_compromise).responder_id(
                ocsp.OCSPResponderEncoding.HASH, self.certificate).sign(
                    self.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def context(self, client=None, **settings):
        """What a client trusts, and shows."""
        context = ssl.create_default_context(cafile=self.file)
        if client:
            context.load_cert_chain(client.cert, client.key)
        for name, value in settings.items():
            setattr(context, name, value)
        return context


class SecureConnection(http_client.Connection):
    """A client's connection with TLS on it."""

    def __init__(self, address, context, name="localhost", timeout=30.0, session=None):
        super().__init__(address, timeout)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
        except BaseException:
            self.socket.close()
            raise
        self.name = name

    def send_request(self, method, path, headers=None, body=b""):
        super().send_request(method, path, {"Host": self.name, **(headers or {})}, body)
