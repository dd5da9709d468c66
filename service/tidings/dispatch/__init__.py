"""Dispatch: what serving a request means, the same for every transport.

    transport ──▶ ClientSession.start(responder) ──▶ permission, limits, handler
    transport ◀── ReplyStream (demand, deliver, reply, complete, fail, request)

    methods         one method in one pair of encodings; look-up of codecs
    peer            what a session asks of its transport (`PeerControl`), and whether it makes its user online
    responders      one request that is being served, and the abstract `ReplyStream` that a transport implements
    client_session  one authenticated peer: permission, limits, expiry, draining
    dispatcher      what all sessions of all transports share
    read_scheduler  shares the event loop among users
    measured        coroutines whose steps are charged to a user

Nothing here imports a transport or a protocol engine.
"""
