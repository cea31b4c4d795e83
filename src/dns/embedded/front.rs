//! Front: where hickory-server hands requests over to the handler, and takes its messages back.
//!
//! ```text
//! UDP ─ hickory's loop ─→ RequestHandler ─ octets ─→ handler
//! TCP ─ our loop ───────→      ↑                        │
//!             ResponseHandler ─┴── MessageResponse ←─ Message, one at a time
//! ```
//!
//! The handler reads the octets itself, since hickory's view of a request lacks what it decides by. The responses are
//! hickory's to encode. Three things it does there are met here and in `encode`:
//! - It repeats the question as octets, and compresses no name against it: `encode` measures in the same way.
//! - It takes the question's octets from the request, where they may hold pointers into a header that the response
//!   does not share; so it is handed the question of our own response.
//! - It limits a datagram to the size in our OPT, or 512 octets without one. What does not fit the client has been
//!   taken out before, RRset by RRset.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts, Message, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, BinEncoder};
use hickory_server::net::NetError;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder, Queries};
use tracing::{debug, warn};

use super::handler::{Handler, Reply, Transport, reply_to};

/// The handler as hickory-server knows it.
#[derive(Clone)]
pub(crate) struct Front(pub(crate) Arc<Handler>);

#[async_trait]
impl RequestHandler for Front {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response_handle: R,
    ) -> ResponseInfo {
        let transport = if request.protocol() == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
        let sent = self.answer(request.as_slice(), request.src(), transport, response_handle).await;
        // Nobody reads what we say of a request that was met with silence.
        let silence = || Header { metadata: request.metadata, counts: HeaderCounts::default() }.into();
        sent.unwrap_or_else(silence)
    }
}

impl Front {
    /// Answers octets that need not be a request. Returns what was sent last, if all of it could be sent.
    pub(crate) async fn answer(
        &self,
        octets: &[u8],
        peer: SocketAddr,
        transport: Transport,
        mut to: impl ResponseHandler,
    ) -> Option<ResponseInfo> {
        let sent = match self.0.respond(octets, peer, transport) {
            Reply::Silence => return None,
            Reply::Message(message) => send(&message, &mut to).await,
            Reply::Transfer(transfer) => {
                let mut sent = Err(NetError::Message("a zone is never empty"));
                for message in transfer.messages() {
                    sent = send(&message, &mut to).await;
                    if sent.is_err() {
                        break;
                    }
                }
                sent
            }
        };
        sent.inspect_err(|error| debug!(%peer, %error, "an answer could not be sent")).ok()
    }
}

/// Sends a message of ours.
pub(crate) async fn send(message: &Message, to: &mut impl ResponseHandler) -> Result<ResponseInfo, NetError> {
    let mut question = Vec::new();
    let mut encoder = BinEncoder::new(&mut question);
    for query in &message.queries {
        query.emit(&mut encoder)?;
    }
    let queries = Queries::read(&mut BinDecoder::new(&question), message.queries.len())
        .map_err(|_| NetError::Message("the question could not be read back"))?;
    let response = MessageResponseBuilder::new(&queries, message.edns.as_ref()).build(
        message.metadata,
        &message.answers,
        &message.authorities,
        [],
        &message.additionals,
    );
    to.send_response(response).await
}

/// The octets of a response where a datagram's limits do not hold.
pub(crate) fn octets<'a>(
    response: MessageResponse<
        '_,
        'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
    >,
) -> Result<(ResponseInfo, Vec<u8>), NetError> {
    let metadata = *response.metadata();
    let mut octets = Vec::with_capacity(512);
    match response.destructive_emit(&mut BinEncoder::new(&mut octets)) {
        Ok(info) => Ok((info, octets)),
        Err(error) => {
            // As hickory does for datagrams.
            warn!(%error, "a response could not be encoded");
            let metadata = reply_to(&metadata, ResponseCode::ServFail).metadata;
            let header = Header { metadata, counts: HeaderCounts::default() };
            Ok((header.into(), header.to_bytes()?))
        }
    }
}
