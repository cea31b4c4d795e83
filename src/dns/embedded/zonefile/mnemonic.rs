//! Numbers that have names.

/// DNSSEC algorithms (RFC 4034 appendix A.1 and the registry that continues it).
const ALGORITHMS: &[(&str, u8)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("ECC", 4),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3DSA", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("NSEC3RSASHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECCGOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Kinds of certificates (RFC 4398 section 2.1).
const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// A DNSSEC algorithm by its name.
pub(super) fn algorithm(raw: &str) -> Option<u8> {
    of(ALGORITHMS, raw)
}

/// A kind of certificate by its name.
pub(super) fn certificate(raw: &str) -> Option<u16> {
    of(CERTIFICATES, raw)
}

fn of<T: Copy>(names: &[(&str, T)], raw: &str) -> Option<T> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(raw)).map(|(_, number)| *number)
}
