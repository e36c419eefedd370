"""A real directory (OpenLDAP's slapd) for a test, with people, groups and TLS."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection

from tests.integrations.hl7.tls import Certificates, certificates
from tests.ports import free_port
from tests.programs import program

BASE = "dc=hastane,dc=local"
GOOD = "beş büyük sarı fil"
_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {tls.ca}
TLSCertificateFile {tls.cert}
TLSCertificateKeyFile {tls.key}
referral ldap://127.0.0.1:{elsewhere}
database mdb
suffix "{base}"
rootdn "cn=admin,{base}"
rootpw gizli
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=tetkik,{base}" read by * auth
"""
_PERSON = """
dn: uid={uid},ou=people,{base}
objectClass: inetOrgPerson
uid: {uid}
cn: {name}
sn: {name}
displayName: {name}
userPassword: {password}
"""
_LDIF = """
dn: {base}
objectClass: dcObject
objectClass: organization
o: Hastane
dc: hastane

dn: ou=people,{base}
objectClass: organizationalUnit
ou: people

dn: ou=elsewhere,{base}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:{elsewhere}/ou=people,{base}

dn: cn=tetkik,{base}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: tetkik
userPassword: arayan
{people}
dn: cn=radyoloji,{base}
objectClass: groupOfNames
cn: radyoloji
member: uid=omer,ou=people,{base}
member: uid=a*b(c),ou=people,{base}

dn: cn=noroloji,{base}
objectClass: groupOfNames
cn: noroloji
member: uid=omer,ou=people,{base}
member: uid=ayse,ou=people,{base}

dn: ou=tetkik,{base}
objectClass: organizationalUnit
ou: tetkik

dn: cn=denetim,ou=tetkik,{base}
objectClass: groupOfNames
cn: denetim
member: uid=omer,ou=people,{base}

dn: cn=misafir,ou=tetkik,{base}
objectClass: groupOfNames
cn: misafir
cn: denetim
member: uid=ayse,ou=people,{base}

dn: cn=denetim,ou=people,{base}
objectClass: groupOfNames
cn: denetim
member: uid=kenan,ou=people,{base}

dn: cn=klinisyen,{base}
objectClass: groupOfNames
cn: klinisyen
member: uid=ayse,ou=people,{base}
"""


@dataclass(frozen=True)
class Slapd:
    """A directory that runs: its ports, and the authority of its certificate."""

    port: int
    secure: int
    tls: Certificates


@contextmanager
def slapd(folder: Path) -> Iterator[Slapd]:
    """One with `omer` (radiologist, Nöroloji), `ayse` (clinician), `kenan` (in no group) and `a*b(c)`."""
    made = Slapd(free_port(), free_port(), certificates(folder))
    people = (("omer", "Ömer Ünsal"), ("ayse", "Ayşe Kaya"), ("kenan", "Kenan Demir"), ("a*b(c)", "Yıldız"))
    written = "".join(_PERSON.format(uid=uid, name=name, base=BASE, password=GOOD) for uid, name in people)
    elsewhere = free_port()
    configuration, entries = folder / "slapd.conf", folder / "entries.ldif"
    (folder / "data").mkdir()
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, tls=made.tls, base=BASE, elsewhere=elsewhere), "utf-8"
    )
    entries.write_text(_LDIF.format(base=BASE, people=written, elsewhere=elsewhere), "utf-8")
    tool = [program("slapd"), "-T", "add", "-f", str(configuration), "-l", str(entries)]
    subprocess.run(tool, check=True, capture_output=True)
    addresses = f"ldap://127.0.0.1:{made.port} ldaps://127.0.0.1:{made.secure}"
    process = subprocess.Popen(
        [program("slapd"), "-d", "0", "-h", addresses, "-f", str(configuration)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(made.secure, process)
        yield made
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("slapd ended at once")
