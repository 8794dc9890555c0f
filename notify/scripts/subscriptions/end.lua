-- Ends a subscription.
-- KEYS  the subscription
-- ARGV  2 id, 3 state, 4 how many milliseconds it is kept
-- Returns 1, 0 when it is not active, -1 when there is none.
local s = call('HMGET', KEYS[1], 'state', 'owner', 'group', 'topic')
if not s[1] then
  return -1
elseif s[1] ~= 'active' then
  return 0
end
local owner, group, topic = s[2] or '', s[3] or '', s[4]
call('SREM', activeKey(owner), ARGV[2]) -- a full Redis allows this, and after it whatever the script writes
call('SREM', groupKey(owner, group), ARGV[2])
call('ZREM', lapsesKey(owner), ARGV[2])
call('HSET', KEYS[1], 'state', ARGV[3], 'ended', now)
call('PEXPIRE', KEYS[1], ARGV[4])
if isTopic(topic) then
  call('PEXPIRE', topic, ARGV[4])
  call('PEXPIRE', topic .. ':ids', ARGV[4])
end
return 1
