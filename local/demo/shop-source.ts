import pg from 'pg'

/** Rows the shop begins with. */
export const shopSize = { customers: 20_000, products: 2_000, orders: 40_000, order_lines: 110_000 }

const tables = `
create type order_state as enum ('new', 'paid', 'sent', 'returned');
create table customers (
  id bigint generated always as identity primary key,
  email text not null unique,
  name text not null,
  vip boolean not null default false,
  credit numeric(12,2),
  born date,
  tags text[],
  preferences jsonb,
  referral uuid,
  avatar bytea,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create table products (
  id integer generated always as identity primary key,
  sku varchar(20) not null unique,
  name text not null,
  price numeric(10,2) not null,
  weight_kg real,
  rating double precision,
  stock smallint not null,
  barcode bigint,
  attributes json,
  discontinued_on date,
  updated_at timestamptz not null default now()
);
create table orders (
  id bigint generated always as identity primary key,
  customer_id bigint not null,
  state order_state not null default 'new',
  currency char(3) not null default 'EUR',
  total numeric(14,2) not null,
  placed_at timestamptz not null default now(),
  local_time timestamp,
  ship_on date,
  delivery_from time,
  handling interval,
  client inet,
  note text,
  updated_at timestamptz not null default now()
);
create table order_lines (
  order_id bigint not null,
  line smallint not null,
  product_id integer not null,
  quantity integer not null,
  price numeric(10,2) not null,
  discount double precision,
  updated_at timestamptz not null default now(),
  primary key (order_id, line)
);
`

// After the rows: checking and sorting them once is several times faster than one by one.
const constraints = `
alter table orders add foreign key (customer_id) references customers;
alter table order_lines add foreign key (order_id) references orders, add foreign key (product_id) references products;
create index on customers (updated_at);
create index on products (updated_at);
create index on orders (updated_at);
create index on order_lines (updated_at);
analyze;
`

// Every value follows from the row's number, so that two machines fill the same shop.
const rows = `
insert into customers (email, name, vip, credit, born, tags, preferences, referral, avatar, created_at, updated_at)
select 'customer' || i || '@example.com',
  (array['Anna Müller', 'José García', '李小龍', 'Олена Шевченко', 'Zoë "Z" O''Neil', 'محمد علي', 'Ngũgĩ 🎉', E'Tab\\tand\\nline'])[1 + i % 8] || ' ' || i,
  i % 50 = 0,
  case when i % 3 = 0 then null else (i * 37 % 100000) / 100.0 end,
  case when i % 11 = 0 then null else date '1940-01-01' + i % 25000 end,
  case i % 4 when 0 then null when 1 then '{}' else array['t' || i % 7, 'größe "' || i % 3 || '"'] end,
  case when i % 5 = 0 then null else jsonb_build_object('newsletter', i % 2 = 0, 'sizes', jsonb_build_array(i % 40, 'M'), 'note', null) end,
  case when i % 6 = 0 then md5(i::text)::uuid end,
  case when i % 9 = 0 then decode(md5(i::text), 'hex') end,
  timestamptz '2025-01-01 00:00:00Z' + i * interval '13 minutes', timestamptz '2025-01-01 00:00:00Z' + i * interval '13 minutes'
from generate_series(1, ${shopSize.customers}) i;

insert into products (sku, name, price, weight_kg, rating, stock, barcode, attributes, discontinued_on, updated_at)
select 'SKU-' || lpad(i::text, 6, '0'), (array['Lamp', 'Café crème', '寿司セット', 'Straßenschuh', 'Piñata'])[1 + i % 5] || ' ' || i,
  (100 + i * 7919 % 99900) / 100.0,
  case when i % 4 > 0 then (i % 300) / 10.0 end,
  case when i % 20 = 0 then 'NaN' when i % 3 = 0 then null else 1 + (i % 41) / 10.0 end,
  i * 31 % 500, 4000000000000 + i::bigint * 104729,
  case when i % 2 = 0 then json_build_object('color', 'c' || i % 12, 'boxed', i % 4 = 0) end,
  case when i % 17 = 0 then date '2026-01-01' + i % 300 end,
  timestamptz '2025-01-01 00:00:00Z' + i * interval '1 hour'
from generate_series(1, ${shopSize.products}) i;

insert into orders (customer_id, state, currency, total, placed_at, local_time, ship_on, delivery_from, handling, client, note, updated_at)
select 1 + i * 7919 % ${shopSize.customers}, (enum_range(null::order_state))[1 + i % 4], (array['EUR', 'USD', 'CHF'])[1 + i % 3],
  (500 + i::bigint * 104729 % 99500) / 100.0,
  timestamptz '2025-06-01 00:00:00Z' + i * interval '7 minutes', timestamp '2025-06-01 00:00:00' + i * interval '7 minutes',
  case when i % 4 > 0 then date '2025-06-03' + i / 200 end,
  case when i % 3 = 0 then time '08:00' + (i % 10) * interval '1 hour' end,
  case when i % 5 = 0 then (i % 72) * interval '1 hour' end,
  case when i % 2 = 0 then ('10.' || i % 200 || '.' || i % 250 || '.7')::inet end,
  case i % 10 when 0 then 'bitte klingeln 🔔' when 1 then '' end,
  timestamptz '2025-06-01 00:00:00Z' + i * interval '7 minutes'
from generate_series(1, ${shopSize.orders}) i;

insert into order_lines (order_id, line, product_id, quantity, price, discount, updated_at)
select 1 + (i - 1) % ${shopSize.orders}, 1 + (i - 1) / ${shopSize.orders}, 1 + i * 31 % ${shopSize.products}, 1 + i % 6,
  (100 + i::bigint * 7919 % 9900) / 100.0, case when i % 8 = 0 then (i % 30) / 100.0 end,
  timestamptz '2025-06-01 00:00:00Z' + i * interval '2 minutes'
from generate_series(1, ${shopSize.order_lines}) i;
`

/** Makes and fills the shop, whole or not at all. False: it is there already. */
export async function fillShop(url: string): Promise<boolean> {
  return withClient(url, async (client) => {
    const found = await client.query("select to_regclass('public.order_lines') as there")
    if (found.rows[0].there !== null) return false
    await client.query(`begin; ${tables} ${rows} ${constraints} commit;`)
    return true
  })
}

/** One moment of a busy shop: new orders with their lines, payments, a price, a customer's new name. Rows changed. */
export async function changeShop(url: string, orders: number): Promise<number> {
  return withClient(url, async (client) => {
    const results = await client.query(`
      begin;
      with placed as (
        insert into orders (customer_id, currency, total, local_time, note)
        select 1 + floor(random() * ${shopSize.customers})::bigint, 'EUR', round((random() * 500)::numeric, 2), localtimestamp,
          case when random() < 0.2 then 'schnell, bitte 🚚' end
        from generate_series(1, ${orders})
        returning id
      )
      insert into order_lines (order_id, line, product_id, quantity, price)
      select id, line, 1 + floor(random() * ${shopSize.products})::integer, 1 + floor(random() * 5)::integer, round((random() * 90)::numeric, 2)
      from placed, generate_series(1, 3) line;
      update orders set state = 'paid', updated_at = now()
      where id in (select id from orders where state = 'new' order by id desc limit ${orders});
      update products set price = round(price * 1.01, 2), stock = greatest(0, stock - 1), updated_at = now()
      where id = 1 + floor(random() * ${shopSize.products})::integer;
      update customers set vip = not vip, updated_at = now() where id = 1 + floor(random() * ${shopSize.customers})::bigint;
      commit;
    `)
    const changed = (results as unknown as pg.QueryResult[]).reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0)
    return changed + orders
  })
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'lakeflow demo' })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
