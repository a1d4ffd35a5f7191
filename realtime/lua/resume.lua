-- What a reader has missed since `position`, newest first, so much at a time. KEYS: on, ev. ARGV: position, presence_ms
-- (0: it does not end), from where to go on ('+' at first), at most how many entries to look at.
-- Gives {'lost'} if the reader is not present, {'lost', last} if the position is unknown, else {'ok' or 'more', last,
-- entries, from where to go on}, entries as token, payload, token, payload, ..., chained from last back to the position.
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return { 'lost' } end
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if last == ARGV[1] then return { 'ok', last, {} } end
-- Most have missed little of a stream that may be long.
local newer, upto, most = {}, ARGV[3], tonumber(ARGV[4])
local few = math.ceil(most / 10)
for _, count in ipairs({ few, most - few }) do
  local part = redis.call('XREVRANGE', KEYS[2], upto, '-', 'COUNT', count)
  for i = 1, #part do
    -- p, previous, t, token, d, payload. Nothing is given that nobody reads: every string costs Redis a copy.
    local fields = part[i][2]
    newer[#newer + 1] = fields[4]
    newer[#newer + 1] = fields[6]
    if fields[2] == ARGV[1] then return { 'ok', last, newer } end
  end
  if #part < count then return { 'lost', last } end
  upto = '(' .. part[#part][1]
end
return { 'more', last, newer, upto }
