-- Calls of embedding models are booked as those of text and image models are.
ALTER TABLE ai_calls DROP CONSTRAINT ai_calls_kind_check;
ALTER TABLE ai_calls ADD CONSTRAINT ai_calls_kind_check CHECK (kind IN ('text', 'image', 'embedding'));
