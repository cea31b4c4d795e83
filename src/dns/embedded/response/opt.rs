//! OPT: the record of EDNS in a response (RFC 6891 section 6.1).

/// What we say that we take ourselves over UDP, and the largest response that we send: it fits into one packet on every
/// path that carries IPv6.
pub(crate) const UDP_SIZE: u16 = 1232;

/// Without options.
const FIXED: usize = 11;
/// With the options that there are, at their longest: an identity of 63 octets and a cookie of 24.
const LONGEST: usize = FIXED + 4 + 63 + 4 + 24;

/// OPT and its options.
pub(crate) struct Opt {
    octets: [u8; LONGEST],
    length: usize,
}

impl Opt {
    /// With our size and version and the DO bit as it came (RFC 3225 section 3).
    pub(crate) fn new(dnssec_ok: bool) -> Self {
        let mut octets = [0; LONGEST];
        octets[2] = 41;
        octets[3..5].copy_from_slice(&UDP_SIZE.to_be_bytes());
        octets[7] = u8::from(dnssec_ok) << 7;
        Self { octets, length: FIXED }
    }

    /// Adds an option, or as much of its data as there is room for.
    pub(crate) fn option(&mut self, code: u16, data: &[u8]) {
        let data = &data[..data.len().min((LONGEST - self.length).saturating_sub(4))];
        let ([c0, c1], length) = (code.to_be_bytes(), u16::try_from(data.len()).unwrap_or(0));
        let start = self.length + 4;
        self.octets[self.length..start].copy_from_slice(&[
            c0,
            c1,
            length.to_be_bytes()[0],
            length.to_be_bytes()[1],
        ]);
        self.octets[start..start + data.len()].copy_from_slice(data);
        self.length = start + data.len();
        let options = u16::try_from(self.length - FIXED).unwrap_or(0);
        self.octets[9..11].copy_from_slice(&options.to_be_bytes());
    }

    /// How many octets it takes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The record.
    pub(crate) fn record(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// Sets the high bits of an RCODE.
    pub(super) fn set_rcode(&mut self, rcode: u16) {
        self.octets[5] = (rcode >> 4) as u8;
    }
}
