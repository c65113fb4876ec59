//! From a request to a response, as far as the zone reaches: checks, records, and how much of it fits. Never waits for anyone.

use std::sync::Arc;

use decide::dns_answer::{Answer, Data, Kind, Record as Fact, TTL_SECONDS, Zone};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Largest UDP answer, so that it is never cut into fragments on the way.
const UDP_BYTES_MAX: u16 = 1232;
/// Names for names for names; more is a circle.
const ALIASES_MAX: usize = 8;

/// What comes next of a request.
pub(super) enum Step {
    /// It is answered.
    Done(Message),
    /// Someone else is to be asked, and what they say goes into the response.
    Forward {
        /// The response so far.
        response: Message,
        /// What to ask.
        question: Query,
    },
}

/// The response to a request; none to what is itself a response.
pub(super) fn respond(zone: &Zone, request: &Message, turn: usize) -> Option<Step> {
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut response = begin(request);
    let refuse = |mut response: Message, code| {
        response.metadata.response_code = code;
        Some(Step::Done(response))
    };
    if request.metadata.op_code != OpCode::Query {
        return refuse(response, ResponseCode::NotImp);
    }
    let [question] = &request.queries[..] else { return refuse(response, ResponseCode::FormErr) };
    if request.version() > 0 {
        return refuse(response, ResponseCode::BADVERS);
    }
    if question.query_class() != DNSClass::IN || matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR) {
        return refuse(response, ResponseCode::Refused);
    }
    let kind = kind_of(question.query_type());
    let mut name = text_of(question.name());
    for _ in 0..ALIASES_MAX {
        match zone.answer(&name, kind, turn) {
            Answer::Alias { record, target } => {
                response.metadata.authoritative = true;
                response.answers.extend(record_of(&record, question.name()));
                if kind == Kind::Cname {
                    return Some(Step::Done(response));
                }
                name = target;
            }
            Answer::NotOurs => {
                let Ok(mut asked) = Name::from_ascii(&name) else { return refuse(response, ResponseCode::ServFail) };
                asked.set_fqdn(true);
                let mut question = question.clone();
                question.set_name(asked);
                return Some(Step::Forward { response, question });
            }
            answer => {
                finish(&mut response, answer, zone, question.name());
                return Some(Step::Done(response));
            }
        }
    }
    refuse(response, ResponseCode::ServFail)
}

fn begin(request: &Message) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.checking_disabled = request.metadata.checking_disabled;
    response.metadata.recursion_available = true;
    // As it came: clients check that upper and lower case come back the way they sent it.
    response.queries.clone_from(&request.queries);
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        response.edns = Some(edns);
    }
    response
}

fn finish(response: &mut Message, answer: Answer, zone: &Zone, asked: &Name) {
    response.metadata.authoritative = true;
    match answer {
        Answer::Found { answers, additional } => {
            response.answers.extend(answers.iter().filter_map(|fact| record_of(fact, asked)));
            response.additionals.extend(additional.iter().filter_map(|fact| record_of(fact, asked)));
        }
        nothing => {
            if nothing == Answer::NoName {
                response.metadata.response_code = ResponseCode::NXDomain;
            }
            response.authorities.extend(record_of(&zone.start_of_authority(), asked));
        }
    }
}

/// Puts what others said into a response; without that, it says that nobody could be asked.
pub(super) fn merge(mut response: Message, said: Option<Arc<Message>>) -> Message {
    let Some(said) = said else {
        response.metadata.response_code = ResponseCode::ServFail;
        return response;
    };
    response.metadata.authoritative = false;
    response.metadata.response_code = said.metadata.response_code;
    // Answers to the question itself are given under the name as it was asked.
    let asked = response.queries.first().map(|query| query.name().clone());
    let renamed = said.answers.iter().cloned().map(|mut record| {
        if let Some(asked) = asked.as_ref().filter(|asked| **asked == record.name) {
            record.name = asked.clone();
        }
        record
    });
    response.answers.extend(renamed);
    response.authorities.extend_from_slice(&said.authorities);
    response.additionals.extend_from_slice(&said.additionals);
    response
}

/// How many bytes the client takes over UDP.
pub(super) fn udp_room(request: &Message) -> usize {
    usize::from(request.max_payload().min(UDP_BYTES_MAX))
}

/// The response in bytes. What does not fit is left out as a whole: the client asks again over TCP.
pub(super) fn wire(response: &Message, room: usize) -> Vec<u8> {
    let encode = |message: &Message| message.to_vec().unwrap_or_default();
    let whole = encode(response);
    if !whole.is_empty() && whole.len() <= room {
        return whole;
    }
    let mut lean = response.clone();
    lean.additionals.clear();
    let whole = encode(&lean);
    if !whole.is_empty() && whole.len() <= room { whole } else { encode(&response.truncate()) }
}

/// A name in lower case, without a dot at its end.
pub(super) fn text_of(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

fn kind_of(kind: RecordType) -> Kind {
    match kind {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::CNAME => Kind::Cname,
        RecordType::PTR => Kind::Ptr,
        RecordType::SRV => Kind::Srv,
        RecordType::TXT => Kind::Txt,
        RecordType::SOA => Kind::Soa,
        RecordType::NS => Kind::Ns,
        _ => Kind::Unknown,
    }
}

/// A record for the wire; none if a name in it is longer than DNS allows.
fn record_of(fact: &Fact, asked: &Name) -> Option<Record> {
    let name = |text: &str| {
        let mut name = Name::from_ascii(text).ok()?;
        name.set_fqdn(true);
        Some(name)
    };
    let owner = name(&fact.name)?;
    let owner = if owner == *asked { asked.clone() } else { owner };
    let data = match &fact.data {
        Data::A(address) => RData::A(A(*address)),
        Data::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Data::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        Data::Ptr(target) => RData::PTR(PTR(name(target)?)),
        Data::Ns(target) => RData::NS(NS(name(target)?)),
        Data::Srv { weight, port, target } => RData::SRV(SRV::new(0, *weight, *port, name(target)?)),
        Data::Text(text) => RData::TXT(TXT::new(vec![text.clone()])),
        Data::Soa { primary, mailbox, serial } => {
            RData::SOA(SOA::new(name(primary)?, name(mailbox)?, *serial, 7200, 1800, 86400, TTL_SECONDS))
        }
    };
    Some(Record::from_rdata(owner, TTL_SECONDS, data))
}
