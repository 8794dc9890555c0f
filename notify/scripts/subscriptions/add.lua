-- Keeps a subscription.
-- KEYS  the subscription
-- ARGV  2 id, 3 owner, 4 group, 5 mode, 6 URL, 7 topic, 8 task, 9 created, 10 sealed, 11 most active ones of the owner,
--       12 how many milliseconds it is kept while it is active, 0: for ever
-- Returns 1, 0 when it is known, -1 when the owner has too many, -2 when it is another owner's.
local id, owner, group = ARGV[2], ARGV[3], ARGV[4]
local known, active = call('HGET', KEYS[1], 'owner'), activeKey(owner)
if known then
  return known == owner and 0 or -2
end
local lapses, lasts = lapsesKey(owner), tonumber(ARGV[12])
for _, other in ipairs(call('ZRANGEBYSCORE', lapses, '-inf', now)) do
  call('SREM', active, other) -- a full Redis allows this, and after it whatever the script writes
  call('ZREM', lapses, other)
end
if call('SCARD', active) >= tonumber(ARGV[11]) then
  for _, other in ipairs(call('SRANDMEMBER', active, 20)) do -- Redis may have lost some
    if call('HGET', prefix .. 's:' .. other, 'state') ~= 'active' then
      call('SREM', active, other)
    end
  end
  if call('SCARD', active) >= tonumber(ARGV[11]) then
    return -1
  end
end
call('HSET', KEYS[1], 'id', id, 'owner', owner, 'group', group, 'mode', ARGV[5], 'url', ARGV[6], 'topic', ARGV[7], 'task', ARGV[8], 'state', 'active',
  'created', ARGV[9], 'sealed', ARGV[10])
call('SADD', active, id)
if lasts > 0 then
  call('PEXPIRE', KEYS[1], lasts)
  call('ZADD', lapses, now + lasts, id)
end
if ARGV[5] == 'continuous' then
  call('SADD', groupKey(owner, group), id)
end
return 1
