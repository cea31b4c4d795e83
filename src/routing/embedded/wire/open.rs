//! OPEN (RFC 4271 section 4.2).

use std::net::Ipv4Addr;

use super::Fields;
use super::capability::Capability;
use super::notification::Notification;

/// RFC 6793 section 9: stands where an AS number of four octets does not fit.
pub(crate) const AS_TRANS: u16 = 23456;

const VERSION: u8 = 4;

/// The optional parameter that holds capabilities (RFC 5492 section 4).
const CAPABILITIES: u8 = 2;

/// RFC 9072 section 2: the first parameter of the extended form.
const EXTENDED: u8 = 255;

// Subcodes of RFC 4271 section 6.2.
const UNSPECIFIC: u8 = 0;
const UNSUPPORTED_VERSION: u8 = 1;
const UNSUPPORTED_PARAMETER: u8 = 4;

/// What one side says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// Its AS number, or AS_TRANS.
    pub(crate) my_as: u16,
    /// What it proposes, in seconds.
    pub(crate) hold_time: u16,
    pub(crate) identifier: Ipv4Addr,
    /// In its order.
    pub(crate) capabilities: Vec<Capability>,
}

impl Open {
    /// Reads the form; whether the values suit us is the negotiation's to say.
    ///
    /// # Errors
    /// The NOTIFICATION to close with.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Notification> {
        let malformed = || Notification::open(UNSPECIFIC, &[]);
        let mut fields = Fields(body);
        if fields.octet() != Some(VERSION) {
            return Err(Notification::open(UNSUPPORTED_VERSION, &[0, VERSION]));
        }
        let my_as = fields.short().ok_or_else(malformed)?;
        let hold_time = fields.short().ok_or_else(malformed)?;
        let identifier = fields.long().ok_or_else(malformed)?.into();
        let length = fields.octet().ok_or_else(malformed)?;
        let capabilities = parameters(length, fields)?;
        Ok(Self { my_as, hold_time, identifier, capabilities })
    }

    /// Its AS number, from the capability if it has one (RFC 6793 section 3).
    pub(crate) fn asn(&self) -> u32 {
        self.four_octet_as().unwrap_or(self.my_as.into())
    }

    /// `None` from a speaker of two octets.
    pub(crate) fn four_octet_as(&self) -> Option<u32> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            Capability::Family(..)
            | Capability::RouteRefresh
            | Capability::ExtendedMessages
            | Capability::Role(_)
            | Capability::EnhancedRefresh
            | Capability::Other(_) => None,
        })
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let capabilities: Vec<u8> =
            self.capabilities.iter().flat_map(|capability| capability.octets()).collect();
        let length = u8::try_from(capabilities.len()).expect("our capabilities are few");
        let mut body = vec![VERSION];
        body.extend(self.my_as.to_be_bytes());
        body.extend(self.hold_time.to_be_bytes());
        body.extend(self.identifier.octets());
        body.extend([length + 2, CAPABILITIES, length]);
        body.extend(capabilities);
        body
    }
}

/// The optional parameters, `length` octets by the first length field. Both of their forms (RFC 9072 section 2).
fn parameters(length: u8, mut fields: Fields<'_>) -> Result<Vec<Capability>, Notification> {
    let malformed = || Notification::open(UNSPECIFIC, &[]);
    let extended = length != 0 && fields.0.first() == Some(&EXTENDED);
    let length = if extended {
        fields.octet();
        usize::from(fields.short().ok_or_else(malformed)?)
    } else {
        usize::from(length)
    };
    if fields.0.len() != length {
        return Err(malformed());
    }
    let mut capabilities = Vec::new();
    while !fields.is_empty() {
        let kind = fields.octet().ok_or_else(malformed)?;
        let length = if extended { fields.short() } else { fields.octet().map(u16::from) };
        let length = length.ok_or_else(malformed)?;
        let mut parameter = Fields(fields.take(length.into()).ok_or_else(malformed)?);
        if kind != CAPABILITIES {
            return Err(Notification::open(UNSUPPORTED_PARAMETER, &[]));
        }
        while !parameter.is_empty() {
            capabilities.push(Capability::read(&mut parameter).ok_or_else(malformed)?);
        }
    }
    Ok(capabilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Open {
        Open {
            my_as: AS_TRANS,
            hold_time: 30,
            identifier: Ipv4Addr::new(192, 0, 2, 1),
            capabilities: vec![
                Capability::Family(1, 1),
                Capability::RouteRefresh,
                Capability::ExtendedMessages,
                Capability::Role(3),
                Capability::FourOctetAs(65536),
                Capability::EnhancedRefresh,
                Capability::Other(73),
            ],
        }
    }

    fn with_parameters(parameters: &[u8]) -> Vec<u8> {
        let mut body = open().body();
        body.truncate(9);
        body.extend(parameters);
        body
    }

    #[test]
    fn what_is_written_is_read() {
        let open = open();
        assert_eq!(Open::read(&open.body()), Ok(open.clone()));
        assert_eq!(open.asn(), 65536);
    }

    #[test]
    fn both_forms_of_parameters_are_read() {
        let both = [Capability::RouteRefresh, Capability::EnhancedRefresh];
        let plain: &[u8] = &[8, 2, 2, 2, 0, 2, 2, 70, 0];
        let extended: &[u8] = &[255, 255, 0, 10, 2, 0, 2, 2, 0, 2, 0, 2, 70, 0];
        // RFC 9072 section 2: any length but 0 may stand before the extended form.
        let lax: &[u8] = &[7, 255, 0, 10, 2, 0, 2, 2, 0, 2, 0, 2, 70, 0];
        for parameters in [plain, extended, lax] {
            assert_eq!(Open::read(&with_parameters(parameters)).unwrap().capabilities, both);
        }
    }

    #[test]
    fn faults_have_their_subcodes() {
        let cases: [(&str, &[u8], u8); 8] = [
            ("authentication, long gone", &[3, 1, 1, 0], UNSUPPORTED_PARAMETER),
            ("an unknown parameter", &[2, 99, 0], UNSUPPORTED_PARAMETER),
            ("a length that says less", &[2, 2, 2, 2, 0], UNSPECIFIC),
            ("a length that says more", &[9, 2, 2, 2, 0], UNSPECIFIC),
            ("a parameter that overruns", &[4, 2, 3, 2, 0], UNSPECIFIC),
            ("a capability that overruns", &[4, 2, 2, 2, 1], UNSPECIFIC),
            ("an AS number of three octets", &[7, 2, 5, 65, 3, 0, 1, 0], UNSPECIFIC),
            ("an extended length that says more", &[255, 255, 0, 9, 2, 0, 2, 2, 0], UNSPECIFIC),
        ];
        for (what, parameters, subcode) in cases {
            let fault = Open::read(&with_parameters(parameters)).unwrap_err();
            assert_eq!((fault.code, fault.subcode), (2, subcode), "{what}");
        }
        let mut old = open().body();
        old[0] = 3;
        let fault = Open::read(&old).unwrap_err();
        assert_eq!((fault.subcode, fault.data.as_ref()), (UNSUPPORTED_VERSION, &[0, 4][..]));
    }
}
