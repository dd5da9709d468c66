"""What the product means: rooms, chat, history, presence, receipts, session. Never sees a frame, a transport or JSON."""
