//! The choices: where NSD, Knot and BIND differ among themselves, whom we are like and why.
//!
//! A choice is about some aspects of a response, and the first that fits decides. Where none fits and two of the three
//! agree, we are like those two; where only two gave the same response code as we, like one of them. It is an error if
//! we are not, and if the three differ and no choice fits.

use super::daemons::Kind;
use super::questions::Case;
use super::wire::{Aspect, Seen};

/// What the three said, in the order of `Kind::ALL`.
pub type Theirs<'a> = [&'a Seen; 3];

/// One choice.
pub struct Choice {
    pub name: &'static str,
    pub why: &'static str,
    pub aspects: &'static [Aspect],
    pub when: fn(&Case, &Theirs<'_>) -> bool,
    pub like: Like,
}

/// Whom we are like.
pub enum Like {
    /// These, in this aspect: those of them whose response code is ours.
    All(&'static [Kind]),
    /// Any of the three, in this aspect.
    Any,
    /// None of them: what must be true of ours.
    Own(fn(&Case, &Seen, &Theirs<'_>) -> bool),
}

use Aspect::{Aa, Additional, Answer, Authority, Edns, Header, Options, Question, Rcode, Reply, Tc};
use Kind::{Bind, Knot, Nsd};

pub const CHOICES: &[Choice] = &[
    Choice {
        name: "TSIG of what is refused",
        why: "its original id is the message's, and its time the request's, as with Knot; NSD repeats the id, BIND has its time",
        aspects: &[Additional],
        when: |_, theirs| {
            theirs.iter().any(|seen| seen.section(Additional).iter().any(|record| of_type(record, 250)))
        },
        like: Like::Own(|_, ours, theirs| {
            let knot = theirs[Knot as usize];
            same(ours, knot, Additional) || knot.get(Additional).is_empty() || !same(ours, knot, Rcode)
        }),
    },
    Choice {
        name: "a cookie that is not ours",
        why: "it counts as none (RFC 7873 section 5.2.3), as with NSD and BIND; Knot says BADCOOKIE",
        aspects: &[Rcode],
        when: |case, theirs| case.is_mangled() && theirs[Knot as usize].get(Rcode) == "23",
        like: Like::Own(|_, ours, theirs| {
            let answers = ["0", "3", "5", "9"].contains(&ours.get(Rcode));
            answers || theirs.iter().any(|seen| same(ours, seen, Rcode))
        }),
    },
    Choice {
        name: "mangled queries",
        why: "whoever finds more than one thing wrong may say any of them",
        aspects: &[Reply, Rcode, Header, Aa, Question],
        when: |case, _| case.is_mangled(),
        like: Like::Any,
    },
    Choice {
        name: "what answers to mangled queries hold",
        why: "it is compared where the three agree that there is something to answer",
        aspects: &[Tc, Answer, Authority, Additional, Edns, Options],
        when: |case, theirs| {
            case.is_mangled() && !theirs.iter().all(|seen| ["0", "3"].contains(&seen.get(Rcode)))
        },
        like: Like::Own(|_, _, _| true),
    },
    Choice {
        name: "what has no question",
        why: "where there is a header to answer to, it is answered FORMERR, as BIND does; NSD and Knot are silent to some",
        aspects: &[Reply],
        when: |case, _| case.is_malformed(),
        like: Like::All(&[Bind]),
    },
    Choice {
        name: "client subnet",
        why: "it is an option that we do not know, malformed or not, as with NSD and Knot; BIND looks into it",
        aspects: &[Rcode, Answer, Authority, Additional],
        when: |case, theirs| {
            theirs[Bind as usize].get(Rcode) == "1"
                && case.edns.as_ref().is_some_and(|edns| edns.options.starts_with(&[0, 8]))
        },
        like: Like::Own(|_, ours, theirs| theirs[..2].iter().any(|seen| same(ours, seen, Rcode))),
    },
    Choice {
        name: "aliases without end",
        why: "each follows so many aliases and no more: NSD 10, BIND 16 and then SERVFAIL, Knot 20; we 16, as far as we got",
        aspects: &[Rcode, Aa, Tc, Answer, Authority, Additional],
        when: |_, theirs| {
            theirs
                .iter()
                .any(|seen| seen.section(Answer).iter().filter(|record| of_type(record, 5)).count() > 8)
                || theirs[Bind as usize].get(Rcode) == "2"
        },
        like: Like::Own(|_, ours, theirs| {
            let known = |record: &str| theirs.iter().any(|seen| seen.section(Answer).contains(&record));
            let mut answers = ours.section(Answer).into_iter();
            ours.get(Rcode) != "2" && answers.all(|record| of_type(record, 5) || known(record))
        }),
    },
    Choice {
        name: "ANY below a DNAME",
        why: "the alias that a DNAME makes is one of any records there, so it answers, as BIND says; the others go on",
        aspects: &[Rcode, Aa, Answer, Authority, Additional],
        when: |case, theirs| {
            case.qtype == 255
                && theirs[Bind as usize].section(Answer).iter().any(|record| of_type(record, 39))
        },
        like: Like::Own(|_, ours, theirs| {
            let all = theirs[Bind as usize];
            let known = |record: &str| all.section(Answer).contains(&record);
            all.truncated()
                || same(ours, all, Rcode) && ours.section(Answer).iter().all(|record| known(record))
        }),
    },
    Choice {
        name: "ANY",
        why: "one RRset is enough (RFC 8482 section 4.1), the first, as with Knot; NSD gives the first it has, BIND all",
        aspects: &[Tc, Answer, Authority, Additional],
        when: |case, _| case.qtype == 255,
        like: Like::Own(|_, ours, theirs| {
            let all = theirs[Bind as usize];
            // BIND keeps the records of DNSSEC to those who set DO.
            let dnssec = |record: &str| [43, 46, 48, 51].iter().any(|rtype| of_type(record, *rtype));
            let known = |record: &str| dnssec(record) || all.section(Answer).contains(&record);
            all.truncated() || !same(all, ours, Rcode) || ours.section(Answer).into_iter().all(known)
        }),
    },
    Choice {
        name: "glue that does not fit",
        why: "a referral without all of its in-domain glue is truncated (RFC 9471), as with Knot; NSD and BIND leave it out",
        aspects: &[Tc],
        when: |_, theirs| theirs.iter().any(|seen| is_referral(seen)),
        like: Like::Own(|_, ours, theirs| {
            let knot = theirs[Knot as usize];
            !same(knot, ours, Rcode) || same(knot, ours, Tc)
        }),
    },
    Choice {
        name: "what does not fit",
        why: "they leave out parts of proofs about wildcards, and add what nobody needs: what fits differs with what there \
              is",
        aspects: &[Tc],
        when: |_, theirs| !theirs.iter().any(|seen| is_referral(seen)),
        like: Like::Any,
    },
    Choice {
        name: "sections of a truncated response",
        why: "whoever sees TC asks again over TCP, so what is in it does not matter (RFC 2181 section 9)",
        aspects: &[Rcode, Aa, Answer, Authority, Additional],
        when: |_, theirs| theirs.iter().any(|seen| seen.truncated()),
        like: Like::Own(|case, ours, theirs| {
            let mut whole = theirs.iter().filter(|seen| !seen.truncated()).peekable();
            ours.truncated()
                || whole.peek().is_none()
                || whole.any(|seen| same(seen, ours, Answer))
                || case.qtype == 255
        }),
    },
    Choice {
        name: "a wildcard that is empty",
        why: "that no data stands at an empty non-terminal `*` takes the NSEC record that shows it as such (RFC 4035 \
              section 3.1.3.4), as with NSD; Knot and BIND leave it out, and no validator could tell",
        aspects: &[Authority],
        when: |_, theirs| {
            let [nsd, knot, bind] = theirs;
            let is_positive = knot.get(Authority).is_empty();
            !is_positive
                && same(knot, bind, Authority)
                && knot.get(Rcode) == "0"
                && !same(nsd, bind, Authority)
        },
        like: Like::Own(|_, ours, theirs| proves_as(ours, theirs[Bind as usize])),
    },
    Choice {
        name: "labels with an octet 0, and asterisks in questions",
        why: "NSD and Knot take wrong records for proofs about them; BIND does not",
        aspects: &[Authority],
        when: |case, theirs| {
            (case.has_octet_zero() || case.has_asterisk()) && !theirs.iter().any(|seen| is_referral(seen))
        },
        like: Like::Own(|_, ours, theirs| proves_as(ours, theirs[Bind as usize])),
    },
    Choice {
        name: "RRSIG",
        why: "whoever asks for signatures gets all, as with BIND; NSD and Knot give one RRset, and not always that",
        aspects: &[Answer, Authority],
        when: |case, _| case.qtype == 46,
        like: Like::Own(|_, ours, theirs| {
            let bind = theirs[Bind as usize];
            same(ours, bind, Answer) && proves_as(ours, bind) || !same(ours, bind, Rcode)
        }),
    },
    Choice {
        name: "DNAME of a wildcard",
        why: "RFC 6672 section 3.3 leaves its meaning open: it is one of the name `*`, as with NSD and BIND; Knot expands it",
        aspects: &[Rcode, Aa, Answer, Authority],
        when: |_, theirs| {
            let of_wildcard = |record: &&str| of_type(record, 39) && record.starts_with("*.");
            theirs[Bind as usize].section(Answer).iter().any(of_wildcard)
        },
        like: Like::All(&[Bind]),
    },
    Choice {
        name: "aliases that leave the zone",
        why: "what is said here of names elsewhere a resolver asks for again before it believes it: a chain ends where \
              another zone of ours begins, as with BIND; NSD follows it there, Knot refers to a child",
        aspects: &[Rcode, Aa, Tc, Answer, Authority],
        when: |case, theirs| {
            let [nsd, knot, bind] = theirs;
            let alias = |record: &str| of_type(record, 5) || of_type(record, 39);
            ![0, 255].contains(&case.qtype)
                && bind.section(Answer).into_iter().any(alias)
                && !bind.truncated()
                && (is_part(bind, nsd, Answer) || is_part(bind, knot, Answer))
        },
        like: Like::All(&[Bind]),
    },
    Choice {
        name: "NS records beside a positive answer",
        why: "NSD adds the zone's NS records, and their addresses, to every answer; nobody needs them",
        aspects: &[Authority, Additional],
        when: |_, theirs| {
            let [nsd, knot, _] = theirs;
            !is_referral(nsd)
                && nsd.section(Authority).iter().any(|record| of_type(record, 2))
                && !knot.section(Authority).iter().any(|record| of_type(record, 2))
        },
        like: Like::Own(|_, ours, theirs| {
            let [_, knot, bind] = theirs;
            (same(ours, knot, Authority) || same(ours, bind, Authority)) && adds_what_is_known(ours, theirs)
        }),
    },
    Choice {
        name: "what may go into the additional section",
        why: "it is all optional; we add addresses of what NS, MX, SRV, AFSDB, KX, SVCB and HTTPS point to, from the zone",
        aspects: &[Additional],
        when: |_, theirs| theirs.iter().any(|seen| seen.get(Rcode) == "0"),
        like: Like::Own(|_, ours, theirs| adds_what_is_known(ours, theirs)),
    },
    Choice {
        name: "NOTIFY of a zone that has no primaries",
        why: "malformed without a SOA (RFC 1996 section 3.7), NOTAUTH without a zone, as with BIND, else REFUSED, as with NSD",
        aspects: &[Rcode],
        when: |case, _| case.opcode() == 4,
        like: Like::Own(|_, ours, theirs| same(ours, theirs[Bind as usize], Rcode) || ours.get(Rcode) == "5"),
    },
    Choice {
        name: "malformed",
        why: "whoever finds more than one thing wrong may say any of them",
        aspects: &[Rcode],
        when: |case, _| case.is_malformed(),
        like: Like::Any,
    },
    Choice {
        name: "UPDATE",
        why: "zones change by commits and transfers alone: NOTIMP, as with NSD; Knot and BIND say who may not",
        aspects: &[Rcode],
        when: |case, _| case.opcode() == 5 && case.qtype == 6,
        like: Like::All(&[Nsd]),
    },
    Choice {
        name: "CHAOS",
        why: "it says who answers, to TXT and ANY, with AA as BIND, and REFUSED to all else; they differ in names and types",
        aspects: &[Rcode, Aa, Answer, Authority],
        when: |case, _| case.qclass == 3 && !case.is_mangled(),
        like: Like::Own(|_, ours, _| ["0", "5"].contains(&ours.get(Rcode))),
    },
    Choice {
        name: "aliases that leave the zone, for types of messages only",
        why: "they are types as any, and no other zone is looked at, as with Knot; NSD does, BIND does not answer",
        aspects: &[Rcode],
        when: |case, theirs| {
            (case.qtype == 41 || (128..255).contains(&case.qtype))
                && theirs[Knot as usize].section(Answer).iter().any(|record| of_type(record, 5))
        },
        like: Like::All(&[Knot]),
    },
    Choice {
        name: "an option twice",
        why: "the first counts, as with BIND; Knot takes two cookies for a bad one, NSD's answer to it cannot be read",
        aspects: &[Rcode],
        when: |case, theirs| case.edns.is_some() && theirs[Nsd as usize].get(Rcode).is_empty(),
        like: Like::All(&[Bind]),
    },
    Choice {
        name: "extended errors",
        why: "none are sent (RFC 8914 leaves it open); each of the three sends others",
        aspects: &[Options],
        when: |_, theirs| theirs.iter().any(|seen| seen.get(Options).contains("option 15")),
        like: Like::Own(|_, ours, _| !ours.get(Options).contains("option 15")),
    },
    Choice {
        name: "RD and CD",
        why: "RD is copied into every response (RFC 1035 section 4.1.1), which BIND does not do with all opcodes; CD is \
              cleared (RFC 4035 section 3.1.6), which BIND does not do",
        aspects: &[Header],
        when: |_, _| true,
        like: Like::Any,
    },
    Choice {
        name: "names below what was opted out",
        why: "an empty non-terminal above unsigned delegations alone has no NSEC3 record; the proof is that of BIND, of the \
              closest encloser that has one",
        aspects: &[Aa, Authority],
        when: |_, theirs| theirs[Bind as usize].section(Authority).iter().any(|record| of_type(record, 50)),
        like: Like::All(&[Bind]),
    },
    Choice {
        name: "class ANY",
        why: "IN is the class that we have, and nothing is authoritative for all of them (RFC 1034 section 6.2.2), as with \
              NSD; Knot sets AA, BIND says FORMERR",
        aspects: &[Rcode, Aa, Authority],
        when: |case, _| case.qclass == 255,
        like: Like::Own(|case, ours, theirs| {
            let below_dname =
                case.qtype == 255 && ours.section(Answer).iter().any(|record| of_type(record, 39));
            (theirs[..2].iter().any(|seen| same(ours, seen, Rcode)) || below_dname) && ours.get(Aa) == "0"
        }),
    },
    Choice {
        name: "type 0",
        why: "it is a type that no name has, as with NSD and BIND; Knot says that it is not implemented",
        aspects: &[Rcode],
        when: |case, _| case.qtype == 0,
        like: Like::Own(|_, ours, theirs| {
            [Nsd, Bind].iter().any(|kind| same(ours, theirs[*kind as usize], Rcode))
        }),
    },
    Choice {
        name: "OPT in an answer to what is malformed",
        why: "what could not be read may not have been EDNS: none, as with NSD; where it was, it is there, as with the others",
        aspects: &[Edns],
        when: |_, theirs| theirs.iter().all(|seen| seen.get(Rcode) == "1"),
        like: Like::Own(|_, ours, theirs| {
            let [nsd, others @ ..] = theirs;
            same(ours, nsd, Edns) || others.iter().all(|seen| same(ours, seen, Edns))
        }),
    },
    Choice {
        name: "question of what is not answered",
        why: "it is repeated where it could be read, which lets the asker match the response; NSD and BIND leave it out of some",
        aspects: &[Question],
        when: |_, theirs| theirs.iter().any(|seen| seen.get(Question).is_empty()),
        like: Like::Any,
    },
];

/// Whether a response refers to another zone's servers.
fn is_referral(seen: &Seen) -> bool {
    seen.get(Aa) == "0" && seen.section(Authority).iter().any(|record| of_type(record, 2))
}

/// Whether all that one says in a section the other says too.
fn is_part(one: &Seen, other: &Seen, aspect: Aspect) -> bool {
    one.section(aspect).iter().all(|record| other.section(aspect).contains(record))
}

/// Whether one proves what the other does, and besides perhaps that a wildcard is empty, by the NSEC record whose next
/// name is below it.
fn proves_as(one: &Seen, other: &Seen) -> bool {
    let mut more = one.section(Authority);
    more.retain(|record| !other.section(Authority).contains(record));
    let mut nsec = more.iter().filter(|record| of_type(record, 47));
    let shows = |nsec: &&str| nsec.split(' ').nth(4).is_some_and(|next| next.contains("*."));
    !same(one, other, Rcode)
        || is_part(other, one, Authority)
            && (more.is_empty() || nsec.next().is_some_and(shows) && nsec.next().is_none())
}

/// Whether the addresses that a response adds are added by one of the three, for the same name or for another that the
/// same wildcard stands for.
fn adds_what_is_known(ours: &Seen, theirs: &Theirs<'_>) -> bool {
    let data = |record: &str| record.split_once(' ').map(|(_, data)| data.to_owned());
    let known: Vec<_> = theirs.iter().flat_map(|seen| seen.section(Additional)).map(data).collect();
    // What one adds another signs.
    let is_known = |record: &str| of_type(record, 46) || known.contains(&data(record));
    !theirs.iter().all(|seen| same(ours, seen, Rcode)) || ours.section(Additional).into_iter().all(is_known)
}

/// Whether two say the same in an aspect.
fn same(one: &Seen, other: &Seen, aspect: Aspect) -> bool {
    one.get(aspect) == other.get(aspect)
}

/// Whether a record, as text, has this type.
fn of_type(record: &str, rtype: u16) -> bool {
    record.split(' ').nth(3) == Some(&rtype.to_string())
}
