"""What the product means: rooms, chat, history, presence, receipts, session. It never sees a frame or a transport."""
