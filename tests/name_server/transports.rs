//! UDP and TCP themselves: addresses that come and go, and clients of every pace.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, RecordType};
use shoestring::dns::embedded::EmbeddedNameServer;
use shoestring::dns::{NameServer, NameServerConfig};
use tempfile::TempDir;

use super::network::{PATIENCE, Server, primary, query, try_udp};

async fn server() -> (TempDir, Server) {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1").await;
    server.set([primary("example.org", 7, "www A 192.0.2.1")]).await;
    (state, server)
}

/// A query over TCP, with its length.
fn framed(id: u16) -> Vec<u8> {
    let mut asked = query("www.example.org.", RecordType::A, DNSClass::IN);
    asked.metadata.id = id;
    let octets = asked.to_vec().unwrap();
    [&u16::try_from(octets.len()).unwrap().to_be_bytes()[..], &octets].concat()
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The id of the next answer, which must be a good one; `None` when the connection is closed.
fn next(stream: &mut TcpStream) -> Option<u16> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("neither an answer nor an end")
        }
        Err(_) => return None,
    }
    let mut octets = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut octets).unwrap();
    let answer = Message::from_vec(&octets).unwrap();
    assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
    Some(answer.metadata.id)
}

#[tokio::test]
async fn a_second_server_on_an_address_is_noticed() {
    let (_state, first) = server().await;
    let state = tempfile::tempdir().unwrap();
    let second = EmbeddedNameServer::open(state.path(), Default::default()).unwrap();
    let config = NameServerConfig { listen: [first.address].into(), ..NameServerConfig::default() };
    let error = second.configure(&config).await.unwrap_err().to_string();
    assert!(error.contains(&first.address.to_string()) && error.contains("in use"), "{error}");
    let asked = query("www.example.org.", RecordType::A, DNSClass::IN).to_vec().unwrap();
    assert!(try_udp(first.address, &asked).await.is_some(), "the first one answers as before");
}

#[tokio::test]
async fn an_address_that_goes_away_is_closed_at_once_and_can_come_back() {
    let (_state, server) = server().await;
    let mut stream = connect(server.address);
    stream.write_all(&framed(1)).unwrap();
    assert_eq!(next(&mut stream), Some(1));
    let here = server.server.observe().await.unwrap().config.unwrap();
    let nowhere = NameServerConfig { listen: [].into(), ..here.clone() };
    for _ in 0..20 {
        let begun = Instant::now();
        server.server.configure(&nowhere).await.unwrap();
        assert!(begun.elapsed() < PATIENCE);
        // Nobody is left who could share it.
        drop(UdpSocket::bind(server.address).unwrap());
        assert!(TcpStream::connect(server.address).is_err());
        server.server.configure(&here).await.unwrap();
        let asked = query("www.example.org.", RecordType::A, DNSClass::IN).to_vec().unwrap();
        assert!(try_udp(server.address, &asked).await.is_some());
    }
    assert_eq!(next(&mut stream), None, "its connections are closed with it");
    server.server.configure(&nowhere).await.unwrap();
    assert!(
        TcpListener::bind(("127.0.0.1", server.address.port())).is_ok()
            || TcpStream::connect(server.address).is_err()
    );
}

#[tokio::test]
async fn requests_are_answered_in_order_however_they_are_cut() {
    let (_state, server) = server().await;
    tokio::task::spawn_blocking(move || {
        // All at once, and more than is read or written in one go.
        let mut stream = connect(server.address);
        let all: Vec<u8> = (0..3000).flat_map(framed).collect();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&all).unwrap());
        for id in 0..3000 {
            assert_eq!(next(&mut stream), Some(id));
        }
        writing.join().unwrap();
        // Octet by octet, and two with a cut anywhere.
        stream.set_nodelay(true).unwrap();
        for octet in framed(7) {
            stream.write_all(&[octet]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(next(&mut stream), Some(7));
        let two = [framed(8), framed(9)].concat();
        for cut in 1..two.len() {
            stream.write_all(&two[..cut]).unwrap();
            std::thread::yield_now();
            stream.write_all(&two[cut..]).unwrap();
            assert_eq!((next(&mut stream), next(&mut stream)), (Some(8), Some(9)), "cut at {cut}");
        }
        // A client that has said all reads the rest.
        stream.write_all(&two).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!((next(&mut stream), next(&mut stream), next(&mut stream)), (Some(8), Some(9), None));
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from_and_holds_up_nobody() {
    let (_state, server) = server().await;
    tokio::task::spawn_blocking(move || {
        let mut deaf = connect(server.address);
        deaf.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        // It ends when the buffers of both sides are full, or the server would read for ever.
        let block: Vec<u8> = (0..500).flat_map(framed).collect();
        let most = (256 << 20) / block.len();
        let stopped = (0..most).position(|_| deaf.write_all(&block).is_err());
        assert!(stopped.is_some(), "256 MB were taken of a client that reads nothing");
        let mut stream = connect(server.address);
        stream.write_all(&framed(1)).unwrap();
        assert_eq!(next(&mut stream), Some(1));
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn idle_and_dripping_connections_end_and_a_client_has_only_so_many() {
    let (_state, server) = server().await;
    tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let (mut idle, mut dripping) = (connect(server.address), connect(server.address));
        let mut others: Vec<TcpStream> = (0..126).map(|_| connect(server.address)).collect();
        for (id, stream) in others.iter_mut().enumerate() {
            stream.write_all(&framed(u16::try_from(id).unwrap())).unwrap();
            assert_eq!(next(stream), u16::try_from(id).ok());
        }
        let mut beyond = connect(server.address);
        assert_eq!(next(&mut beyond), None, "the 129th of a client is refused");
        // One that closes makes room.
        drop(others.pop());
        let again = (0..200).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let mut stream = connect(server.address);
            stream.write_all(&framed(5)).ok()?;
            next(&mut stream)
        });
        assert_eq!(again, Some(5));
        // An octet now and then is no request.
        dripping.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let request = framed(1);
        let dripped = request.iter().position(|octet| {
            let read = dripping.write_all(&[*octet]).and_then(|()| dripping.read(&mut [0; 1]));
            !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        });
        assert!(
            dripped.is_some() && begun.elapsed() > Duration::from_secs(8),
            "{dripped:?} {:?}",
            begun.elapsed()
        );
        assert_eq!(next(&mut idle), None);
    })
    .await
    .unwrap();
}
