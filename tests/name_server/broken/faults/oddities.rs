//! What is odd and no fault.

use super::Step::Send;
use super::{Announce, Fault, announce, begun, changed, fault, full, record, soa_data, with};

/// What looks odd and is taken all the same, as BIND, NSD and Knot take it.
pub const ODDITIES: &[Fault] = &[
    fault("has no AA", "", |ask| changed(ask, |octets| octets[2] &= !4)),
    fault("sets RD, RA, AD and CD", "", |ask| {
        changed(ask, |octets| {
            octets[2] |= 1;
            octets[3] |= 0xb0;
        })
    }),
    fault("sends one record a message", "", |ask| {
        let records = [ask.soa(2), ask.ns(), ask.a(b"www", 2), ask.soa(2)];
        records.into_iter().map(|record| Send(ask.reply(&[record]))).collect()
    }),
    fault("repeats the question in the first message only", "", |ask| {
        let mut next = ask.reply(&[ask.a(b"www", 2), ask.soa(2)]);
        next[5] = 0;
        next.drain(12..12 + ask.question().len());
        begun(ask, vec![Send(next)])
    }),
    fault("repeats records", "", |ask| with(ask, &[ask.a(b"www", 2), ask.a(b"www", 2), ask.ns()])),
    fault("has a TTL with the highest bit", "", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 1, u32::MAX, 4, &[192, 0, 2, 2])])
    }),
    fault("writes names in capitals", "", |ask| {
        let mut www = ask.a(b"WWW", 2);
        www[4..4 + ask.apex.len()].make_ascii_uppercase();
        with(ask, &[www])
    }),
    fault("closes in capitals", "", |ask| {
        let mut closing = ask.soa(2);
        let mname = ask.apex.len() + 10;
        closing[mname..mname + 11].make_ascii_uppercase();
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.a(b"www", 2), closing]))]
    }),
    fault("has types that nobody knows", "", |ask| {
        with(
            ask,
            &[
                ask.a(b"www", 2),
                record(&ask.below(b"x"), 65_280, b"\xc0\x0c"),
                record(&ask.below(b"y"), 300, &[]),
            ],
        )
    }),
    fault("compresses", "", |ask| {
        let www = [&b"\x03www\xc0\x0c"[..], &record(b"", 1, &[192, 0, 2, 2])].concat();
        let ns = [&b"\xc0\x0c"[..], &record(b"", 2, b"\x02ns\xc0\x0c")].concat();
        with(ask, &[www, ns])
    }),
    fault("goes on in further messages after the end", "", |ask| {
        vec![Send(ask.whole(2)), Send(ask.reply(&[ask.a(b"www", 9)]))]
    }),
    fault("has OPT in the additional section", "", |ask| {
        changed(ask, |octets| {
            octets[11] = 1;
            octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        })
    }),
    fault("has TTLs that differ within a set", "", |ask| {
        let a = |ttl: u32, last: u8| full(&ask.below(b"x"), 1, 1, ttl, 4, &[192, 0, 2, last]);
        with(ask, &[ask.a(b"www", 2), a(60, 7), a(3600, 8), a(5, 9)])
    }),
    fault("has names with nothing but signatures", "", |ask| {
        let rrsig = [&[0, 1, 8, 2][..], &[0; 14], b"\x04test\0", b"signature"].concat();
        with(ask, &[ask.a(b"www", 2), record(&ask.below(b"x"), 46, &rrsig)])
    }),
    fault("has data below a DNAME and below a cut", "", |ask| {
        let below = |label: &[u8], name: &[u8]| [&[label.len() as u8], label, name].concat();
        let (dname, cut) = (ask.below(b"d"), ask.below(b"cut"));
        with(
            ask,
            &[
                ask.a(b"www", 2),
                record(&dname, 39, b"\x01a\x07example\0"),
                record(&below(b"child", &dname), 1, &[192, 0, 2, 3]),
                record(&cut, 2, &below(b"ns", &cut)),
                record(&below(b"ns", &cut), 1, &[192, 0, 2, 4]),
                record(&below(b"deep", &below(b"er", &cut)), 16, b"\x01x"),
            ],
        )
    }),
    fault("has data of no octets where there may be none", "", |ask| {
        with(ask, &[ask.a(b"www", 2), record(&ask.below(b"x"), 10, &[]), record(&ask.below(b"y"), 42, &[])])
    }),
    fault("opens and closes with TTLs that differ", "", |ask| {
        let soa = soa_data(2);
        let closing = full(&ask.apex, 6, 1, 7, soa.len(), &soa);
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.a(b"www", 2), closing]))]
    }),
    fault("writes the apex in capitals", "", |ask| {
        let apex = ask.apex.to_ascii_uppercase();
        let soa = record(&apex, 6, &soa_data(2));
        vec![Send(ask.reply(&[soa.clone(), ask.ns(), ask.a(b"www", 2), soa]))]
    }),
    fault("has records in the authority section", "", |ask| {
        let mut reply = ask.reply(&[ask.soa(2), ask.ns(), ask.a(b"www", 2), ask.soa(2), ask.ns()]);
        (reply[7], reply[9]) = (4, 1);
        vec![Send(reply)]
    }),
    fault("resets after the end", "", |ask| vec![Send(ask.whole(2)), super::Step::Reset]),
    announced("answers a SOA query in capitals", |ask| {
        vec![ask.reply(&[record(&ask.apex.to_ascii_uppercase(), 6, &soa_data(2))])]
    }),
    announced("answers a SOA query with more", |ask| {
        vec![ask.reply(&[ask.ns(), ask.soa(2), ask.a(b"www", 9)])]
    }),
    announced("sends other datagrams before its answer", |ask| {
        let mut other = announce(ask, 9).remove(0);
        other[0] ^= 1;
        [vec![other; 5], vec![vec![0; 3]], announce(ask, 2)].concat()
    }),
    announced("answers a SOA query twice", |ask| [announce(ask, 2), announce(ask, 3)].concat()),
    Fault {
        by_tcp: Some(|ask| vec![Send(ask.reply(&[ask.soa(2)]))]),
        ..announced("answers a SOA query by TCP only", |_| Vec::new())
    },
    Fault {
        by_tcp: Some(|ask| vec![Send(ask.reply(&[ask.soa(2)]))]),
        ..announced("truncates its answer to a SOA query", |ask| {
            let mut answer = ask.reply(&[]);
            answer[2] |= 2;
            vec![answer]
        })
    },
];

/// A primary whose answer to the SOA query is odd.
const fn announced(name: &'static str, announce: Announce) -> Fault {
    Fault { name, words: "", announce, by_tcp: None, script: |ask| vec![Send(ask.whole(2))] }
}
