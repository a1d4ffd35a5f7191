-- Renew presence. KEYS: on, ev of each reader in turn. ARGV: presence_ms. Gives the token of each reader's newest event,
-- '' for who is not present.
local lasts = {}
for at = 1, #KEYS, 2 do
  local last = redis.call('HGET', KEYS[at], 'last')
  if last then
    redis.call('PEXPIRE', KEYS[at], ARGV[1])
    redis.call('PEXPIRE', KEYS[at + 1], ARGV[1])
  end
  lasts[#lasts + 1] = last or ''
end
return lasts
